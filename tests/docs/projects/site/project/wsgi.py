"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from heliograph.contrib.wsgi import Middleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = Middleware(get_wsgi_application())
