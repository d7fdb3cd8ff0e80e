"""The Django project that DJANGO_SETTINGS_MODULE names, as the application of a heliograph server.

`manage.py heliograph run` runs it; without manage.py: `heliograph run heliograph.contrib.django.project`.
"""

from django.apps import apps
from django.core.wsgi import get_wsgi_application

from heliograph.exceptions import ConfigError

_APP = "heliograph.contrib.django"

application = get_wsgi_application()
"""The WSGI application for uWSGI, which serves HTTP itself. The call sets up Django, which imports the handlers."""

if not apps.is_installed(_APP):
    raise ConfigError(
        f"app not installed: {_APP!r}. Add it to INSTALLED_APPS, so that Django imports tasks.py and signals.py of "
        "all apps."
    )
