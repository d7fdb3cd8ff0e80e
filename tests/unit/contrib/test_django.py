"""The Django app: imports, wrapped handlers, and the management command."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("django")
from heliograph.contrib.django import connections
from heliograph.contrib.django.connections import with_fresh_connections

SITE = Path(__file__).parents[3] / "examples/django_site"
NOWHERE = ["--name", "no-such-server"]


@pytest.fixture
def seen(monkeypatch):
    """Records events in order."""
    events = []
    monkeypatch.setattr(connections, "close_old_connections", lambda: events.append("close"))
    return events


def python(*arguments, **environment):
    """Run a Python program in the directory of the site, or in the directory of the test."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "SITE_DIRECTORY": "/nowhere", **environment}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=SITE, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_connections_are_closed_before_and_after_a_handler(seen):
    """Old connections only. Arguments and result pass unchanged."""
    handle = with_fresh_connections(lambda num: seen.append(num) or "done")
    assert handle(3) == "done"
    assert seen == ["close", 3, "close"]


def test_connections_are_closed_after_a_failed_handler(seen):
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        with_fresh_connections(fail)()
    assert seen == ["close", "close"]


@pytest.fixture
def own_executor(monkeypatch):
    """Replace the thread of asgiref, which would outlive the test. Python 3.15 warns of a fork beside a thread."""
    from asgiref.sync import SyncToAsync

    with ThreadPoolExecutor(max_workers=1) as executor:
        monkeypatch.setattr(SyncToAsync, "single_thread_executor", executor)
        yield


@pytest.mark.usefixtures("own_executor")
@pytest.mark.parametrize("failure", [None, LookupError])
def test_connections_are_closed_before_and_after_an_async_handler(seen, failure):
    """The wrapper is `async def` as well."""

    async def handler(num):
        seen.append(num)
        if failure:
            raise failure

    handle = with_fresh_connections(handler)
    assert inspect.iscoroutinefunction(handle)
    if failure:
        with pytest.raises(failure):
            asyncio.run(handle(3))
    else:
        asyncio.run(handle(3))
    assert seen == ["close", 3, "close"]


@pytest.mark.parametrize("handler", [lambda: None, lambda _num: None])
def test_wrapped_handler_keeps_its_arguments(seen, handler):
    """The number, or nothing."""
    assert inspect.signature(with_fresh_connections(handler)) == inspect.signature(handler)


def test_tasks_of_every_app_are_imported():
    """During the setup of Django. The registry has the original functions."""
    program = (
        "import django; django.setup()\n"
        "from heliograph import REGISTERED_SIGNALS\n"
        "print({num: (known.target, known.func.__name__) for num, known in REGISTERED_SIGNALS.items()})\n"
    )
    done = python("-c", program)
    assert done.stdout == "{0: ('mule1', 'confirm_orders'), 1: ('workers', 'count_orders')}\n", done.stderr


def test_connections_are_closed_for_every_handler():
    """Without configuration."""
    program = (
        "import django; django.setup()\n"
        "from heliograph import Signal\n"
        "from heliograph.contrib.django import connections\n"
        "from heliograph.runtime.handlers import dispatch\n"
        "connections.close_old_connections = lambda: print('close')\n"
        "Signal(9).register_handler('mule1')(lambda: print('run'))\n"
        "dispatch(9)\n"
    )
    done = python("-c", program)
    assert done.stdout == "close\nrun\nclose\n", done.stderr


def test_signals_modules_are_imported_too(tmp_path):
    """They may contain receivers of Django signals."""
    app = tmp_path / "crates"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "signals.py").write_text(
        "from django.core.signals import request_started\n"
        "from heliograph import Signal\n"
        "request_started.connect(print)\n"
        "Signal(77).register_handler('mule1')(print)\n"
    )
    program = (
        "from django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['crates', 'heliograph.contrib.django'])\n"
        "import django; django.setup()\n"
        "from heliograph import Signal; print(Signal(77))\n"
    )
    done = python("-c", program, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert "target='mule1'" in done.stdout, done.stderr


def test_app_that_cannot_be_imported_is_an_error(tmp_path):
    """Otherwise its signals would have no handlers."""
    app = tmp_path / "broken"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "tasks.py").write_text("import nothing_of_that_name\n")
    program = (
        "from django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['broken', 'heliograph.contrib.django'])\n"
        "import django; django.setup()\n"
    )
    done = python("-c", program, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert "nothing_of_that_name" in done.stderr


def test_project_is_an_application():
    """Importing it sets up Django."""
    program = (
        "from pathlib import Path\n"
        "from heliograph.application import AppSpec, load\n"
        "from heliograph.contrib.django.management.commands.heliograph import APPLICATION\n"
        "print(load(AppSpec.parse(APPLICATION, Path.cwd()))[1])\n"
        "from django.apps import apps; print(apps.ready)\n"
    )
    done = python("-c", program)
    assert "WSGIHandler" in done.stdout, done.stderr
    assert done.stdout.endswith("True\n")


def test_project_without_the_app_is_rejected():
    """The server would have no signals."""
    program = "from django.conf import settings; settings.configure()\nimport heliograph.contrib.django.project\n"
    done = python("-c", program)
    assert done.returncode == 1
    assert "ConfigError: app not installed: 'heliograph.contrib.django'. Add it to INSTALLED_APPS" in done.stderr


@pytest.mark.parametrize("arguments", [["heliograph", "--help"], ["help", "heliograph"], ["heliograph"]])
def test_help_is_that_of_heliograph(arguments):
    """Not the help of a management command."""
    done = python("manage.py", *arguments)
    assert "heliograph run shop.tasks" in done.stdout + done.stderr
    assert "--traceback" not in done.stdout


def test_help_of_run_is_that_of_heliograph_run():
    done = python("manage.py", "heliograph", "run", "--help")
    assert done.returncode == 0
    assert "--mules N" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["signals", *NOWHERE], 2),
        (["send", "3", "/nowhere"], 2),
        (["run", "--mules", "1", "--", "no-such-command"], 2),
        (["--version"], 0),
    ],
)
def test_exit_code_and_output_pass_through(arguments, code):
    """As those of the `heliograph` command."""
    done = python("manage.py", "heliograph", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout or done.stderr.count("Error: ") == 1


def test_run_with_an_application_is_refused():
    """It loads the project, so an application would be a second one."""
    done = python("manage.py", "heliograph", "run", "orders.tasks", "--mules", "1")
    assert done.returncode == 2
    assert done.stderr == "Error: unexpected application: 'orders.tasks'. Leave it out: `run` is for this project.\n"


def test_config_shows_the_settings_of_the_project():
    """As `run` would start it."""
    done = python("manage.py", "heliograph", "config", "--json", "--mules", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["options"]["app"]["value"] == "heliograph.contrib.django.project"


def test_call_command_runs_the_command():
    """It raises an exception if the exit code is not 0."""
    program = (
        "import django; django.setup()\n"
        "from django.core.management import CommandError, call_command\n"
        "call_command('heliograph', 'send', '--help')\n"
        "try:\n"
        "    call_command('heliograph', 'stop', '--name', 'no-such-server', '--no-wait')\n"
        "except CommandError as error:\n"
        "    print(error, error.returncode)\n"
    )
    done = python("-c", program)
    assert "SIGNAL [REMOTE]" in done.stdout, done.stderr
    assert done.stdout.endswith("heliograph stop --name no-such-server --no-wait failed: exit code 2 2\n")
