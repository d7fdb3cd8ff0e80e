"""The Django project that DJANGO_SETTINGS_MODULE names, as the application of a heliograph server.

`manage.py heliograph run` runs it; without manage.py: `heliograph run heliograph.contrib.django.project`.
"""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
"""For engines that serve HTTP themselves (uWSGI). To make it sets Django up, and so registers the handlers."""
