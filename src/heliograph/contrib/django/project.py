"""The Django project that DJANGO_SETTINGS_MODULE names, as the application of a heliograph server.

`manage.py heliograph run` runs it; without manage.py: `heliograph run heliograph.contrib.django.project`.
"""

from django.apps import apps
from django.core.wsgi import get_wsgi_application

from heliograph.exceptions import ConfigError

_APP = "heliograph.contrib.django"

application = get_wsgi_application()
"""For engines that serve HTTP themselves (uWSGI). To make it sets Django up, and so registers the handlers."""

if not apps.is_installed(_APP):
    raise ConfigError(
        f"{_APP!r} is not in the project's INSTALLED_APPS: add it, so that tasks.py and signals.py of all apps are "
        "imported"
    )
