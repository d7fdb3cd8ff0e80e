"""A Django app. Add `heliograph.contrib.django` to `INSTALLED_APPS`.

apps           imports `tasks.py` and `signals.py` of every installed app
connections    closes stale database connections before and after each handler
project        the Django project as the application of a heliograph server
management     `manage.py heliograph run`, `signals`, `reload`, `stop`, `send`
"""
