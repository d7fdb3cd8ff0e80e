"""Django's management commands, and `python manage.py heliograph run --mules 1 -- gunicorn -w 2 project.wsgi`."""

import os

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    execute_from_command_line()
