"""A Django app: name `heliograph.contrib.django` in `INSTALLED_APPS`.

apps           imports `tasks.py` and `signals.py` of every installed app
connections    stale database connections are closed around each handler
project        the whole Django project, as the application of a heliograph server
management     `manage.py heliograph run`, `signals`, `reload`, `stop`, `send`
"""
