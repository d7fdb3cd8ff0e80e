"""The application by the names that WSGI servers expect."""

from shop.web import app

application = app
