"""Settings for Django's own tests of task backends."""

SECRET_KEY = "tests-only"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["heliograph.contrib.django"]
TASKS = {"default": {"BACKEND": "suite_backends.StoredBackend", "QUEUES": ["default", "queue_1"]}}
