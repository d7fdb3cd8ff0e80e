"""Settings of the project that the pages name."""

SECRET_KEY = "not a secret"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
INSTALLED_APPS = [
    *("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles"),
    *("orders", "heliograph.contrib.django"),
]
STATIC_URL = "static/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
TASKS = {"default": {"BACKEND": "heliograph.contrib.django.tasks.Backend"}}
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
