"""Tasks of Django on the heliograph server: a program enqueues them, a mule runs them, and a kill loses none."""

import os
import subprocess
import sys

import pytest

from heliograph.testing.harness.harness import eventually

django = pytest.importorskip("django")
PACKAGE = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
if django.VERSION < (6, 0):
    pytest.importorskip("django_tasks")

SETTINGS = f"""
USE_TZ = True
SECRET_KEY = "tests-only"
INSTALLED_APPS = [*{[PACKAGE] if PACKAGE == "django_tasks" else []}, "shop", "heliograph.contrib.django"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}}}
TASKS = {{
    "default": {{
        "BACKEND": "heliograph.contrib.django.tasks.Backend",
        "OPTIONS": {{"retries": 2, "backoff": 0.1, "target": "mule"}},
    }}
}}
ROOT_URLCONF = "shop"
urlpatterns = []
"""

TASKS = f"""
import os, sys
from pathlib import Path
from django.db import connection
from {PACKAGE} import task

@task
def add(a, b):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s + %s", [a, b])
        return cursor.fetchone()[0]

@task(takes_context=True)
def fail_twice(context):
    if context.attempt < 3:
        raise LookupError(context.attempt)
    return context.attempt

@task(takes_context=True)
def kill_once(context):
    try:
        Path("killed").touch(exist_ok=False)
    except FileExistsError:
        return [context.attempt, len(context.task_result.worker_ids)]
    os.kill(os.getpid(), 9)

@task
async def later():
    return "async"
"""

ENQUEUE = """
import django; django.setup()
from shop import tasks
print(tasks.add.enqueue(1, 2).id, tasks.fail_twice.enqueue().id, tasks.kill_once.enqueue().id, tasks.later.enqueue().id)
"""

SHOW = f"""
import sys, django; django.setup()
from {PACKAGE} import default_task_backend as backend
print([(r.task.name, str(r.status), r._return_value) for r in map(backend.get_result, sys.argv[1:])])
"""


@pytest.fixture
def python(server, monkeypatch):
    """Return a function that runs a program of the project, and returns its output. No server runs yet."""
    shop = server.directory / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "tasks.py").write_text(TASKS)
    (server.directory / "shop_settings.py").write_text(SETTINGS)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop_settings")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(server.directory), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", str(server.directory / "spool"))

    def python(*command):
        command = [sys.executable, "-c", *command]
        done = subprocess.run(command, cwd=server.directory, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr + server.log
        return done.stdout

    return python


def test_tasks_run_in_the_mule(server, python):
    """Those that were enqueued before the start, too. With retries, after a kill, with a database, as coroutines."""
    ids = python(ENQUEUE).split()
    words = (
        "-m",
        "heliograph",
        "run",
        "heliograph.contrib.django.project",
        "--name",
        "shop",
        "--mules",
        "1",
        "--workers",
        "0",
    )
    server.process = server.popen(sys.executable, *words)
    server.await_log("Server ready")
    expected = [
        ("add", "SUCCESSFUL", 3),
        ("fail_twice", "SUCCESSFUL", 3),
        ("kill_once", "SUCCESSFUL", [2, 2]),
        ("later", "SUCCESSFUL", "async"),
    ]
    eventually(f"the ends of all tasks: {server.log}", lambda: python(SHOW, *ids) == f"{expected}\n", 30)
    ids = python(ENQUEUE).split()
    eventually("the ends of tasks for a running server", lambda: python(SHOW, *ids).count("SUCCESSFUL") == 4, 30)
