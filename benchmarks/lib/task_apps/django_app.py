"""django-tasks-db with SQLite, set up as Django's documentation advises for production: WAL, NORMAL, IMMEDIATE."""

import os

import django
from django.conf import settings

from lib import task_work
from lib.task_work import ARGUMENTS, FOLDER

if not settings.configured:
    PACKAGES = ["django_tasks_db"] if django.VERSION >= (6, 0) else ["django_tasks", "django_tasks_db"]
    settings.configure(
        INSTALLED_APPS=PACKAGES,
        USE_TZ=True,
        TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(FOLDER / "django.db"),
                "OPTIONS": {
                    "transaction_mode": "IMMEDIATE",
                    "timeout": 20,
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                },
            }
        },
    )
    django.setup()

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task

from django.core.management import call_command, execute_from_command_line


@task
def count(address: str, number: int) -> None:
    """Count itself. The worker imports the task by the name of its function, so that stands here."""
    task_work.count(address, number)


@task
def stamp(address: str, number: int) -> None:
    """Record when it runs."""
    task_work.stamp(address, number)


def setup() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        count.enqueue(*ARGUMENTS)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    stamp.enqueue(*ARGUMENTS)


if __name__ == "__main__":
    execute_from_command_line(["manage.py", "db_worker", "--interval", os.environ["BENCH_POLL"], "--no-startup-delay"])
