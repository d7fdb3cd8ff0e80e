"""For servers and frameworks: import what fits. Nothing in heliograph needs it, and it needs none of them but Django.

wsgi        a middleware for WSGI servers that are not known (waitress, cheroot)
asgi        a middleware and a lifespan for ASGI applications, so that handlers finish before their loop ends
gunicorn    a hook for `gunicorn.conf.py`
django      an app for `INSTALLED_APPS`, with `manage.py heliograph`
"""
