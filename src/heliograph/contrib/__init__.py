"""Integration with servers and frameworks. The rest of heliograph does not import it.

wsgi        a middleware for WSGI servers that heliograph does not detect (waitress, cheroot)
asgi        a middleware and a lifespan for ASGI applications, so that handlers finish before their event loop stops
gunicorn    a hook for `gunicorn.conf.py`
django      an app for `INSTALLED_APPS`, with `manage.py heliograph`, a backend of Django's tasks and pages in the admin
flask       an extension that runs handlers and tasks in the application's context
"""
