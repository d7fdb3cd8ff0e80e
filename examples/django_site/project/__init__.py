"""Settings, URLs and the WSGI application."""
