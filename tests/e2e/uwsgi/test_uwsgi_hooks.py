"""The hooks of the application's life on uWSGI."""

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("uwsgi")

LIFE = """
import atexit
from heliograph import on_failure, on_start, on_stop, uwsgi as platform
import uwsgi as module

atexit.register(record, "exit")

@on_start
def start():
    record("start")

@on_stop
async def stop():
    record("stop")

@on_failure
def failed(failure):
    record(f"failed-{failure.name}")

@Signal(1).register_handler("mule1")
def broken():
    raise LookupError

module.atexit = lambda: record("foreign")
"""


def by(events):
    return sorted(event.by for event in events)


def test_each_process_runs_its_start_hooks_and_all_but_the_spooler_their_stop_hooks(uwsgi):
    """The hook of another library runs too. uWSGI kills its spoolers."""
    server = uwsgi.start(LIFE, "--master", "--enable-threads", "--mules", "1", "--spooler", "spool", workers=1)
    assert by(server.expect(3, "start")) == ["mule1", "spooler1", "worker1"], server.log
    server.send(1)
    assert by(server.expect(1, "failed-tasks.broken")) == ["mule1"]
    assert server.end() == 0
    for what in ("stop", "exit", "foreign"):
        assert by(server.events(what)) == ["mule1", "worker1"]


def test_hooks_run_in_workers_with_lazy_apps(uwsgi):
    """The one for the start while the application is loaded."""
    code = LIFE.replace('"mule1"', "None")
    lazy = ("--lazy-apps", "--shared-pyimport", "heliograph.preload")
    server = uwsgi.start(code, "--master", "--enable-threads", *lazy, workers=1, up=False)
    assert by(server.expect(1, "start")) == ["worker1"]
    server.await_log("WSGI app 0 .* ready")
    server.send(1)
    server.expect(1, "failed-tasks.broken")
    assert server.end() == 0
    assert by(server.events("stop")) == ["worker1"]


def test_a_mule_whose_start_hook_fails_starts_again(uwsgi):
    """The log has the exception."""
    code = """
from heliograph import on_start

@on_start(roles="mule")
def connect():
    record("start")
    if not Path("gate").exists():
        raise ConnectionError("no connection")

@Signal(1).register_handler("mule1")
def work():
    record("work")
"""
    server = uwsgi.start(code, "--master", "--enable-threads", "--mules", "1", workers=1)
    server.expect(2, "start")
    assert "Cannot start mule1" in server.log
    assert "ConnectionError: no connection" in server.log
    server.release("gate")
    eventually("the mule to work", lambda: (server.send(1), server.events("work"))[1])
