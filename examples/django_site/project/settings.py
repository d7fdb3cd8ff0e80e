"""The minimal settings of the example."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
DIRECTORY = Path(os.environ.get("SITE_DIRECTORY", BASE_DIR))

SECRET_KEY = os.environ.get("SECRET_KEY", "example-only")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = ["orders", "heliograph.contrib.django"]
ROOT_URLCONF = "project.urls"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DIRECTORY / "db.sqlite3",
        # Web workers and mule write to the same file, so each waits for the others.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
