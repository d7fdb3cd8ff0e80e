"""Real uWSGI with other libraries, with child processes, and after the death of worker 1."""

import os
import signal

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("uwsgi")

MASTER = ("--master", "--enable-threads")


def test_an_earlier_post_fork_hook_runs_too(uwsgi):
    """Another library set it before heliograph was imported."""
    code = """
import uwsgi as raw
from heliograph.runtime.scheduling import register_timer
register_timer(0.1, target="worker2")(lambda: record("tick"))
uwsgi.postfork_hooks.add()(lambda: record("ours"))
"""
    theirs = "import os, uwsgi\nuwsgi.post_fork_hook = lambda: os.close(os.open(f'theirs{os.getpid()}', os.O_CREAT))\n"
    server = uwsgi.start(code, *MASTER, "--shared-pyimport", "theirs", files=[("theirs.py", theirs)])
    server.expect(2, "ours")
    server.expect(3, "tick")
    assert len(list(server.directory.glob("theirs[0-9]*"))) == 2
    assert server.end() == 0


def test_a_later_post_fork_hook_runs_too(uwsgi):
    """Also if it calls the hook that it found. The hooks of heliograph run, and timers fire."""
    code = """
import uwsgi as raw
from heliograph.runtime.scheduling import register_timer

@register_timer(0.1, target="mule1")
def tick():
    record("tick")

@uwsgi.postfork_hooks.add()
def ours():
    record("ours")

found = raw.post_fork_hook
def theirs():
    found()
    record("theirs")
Signal(1).register_handler("mule1")(lambda: record("work"))

@Signal(2).register_handler("worker1")
def burst():
    for _ in range(2000):
        Signal(1).send(timeout=20)

raw.post_fork_hook = lambda: record("replaced")
raw.post_fork_hook = theirs
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1", up=False)
    server.expect(3, "theirs")
    eventually("ticks", lambda: len(server.events("tick")) >= 3)
    assert (len(server.events("ours")), len(server.events("theirs")), len(server.events("replaced"))) == (3, 3, 0)
    server.send(2)
    eventually("a burst", lambda: len(server.events("work")) == 2000)
    assert "SIGNAL QUEUE IS FULL" not in server.log
    assert server.end() == 0


def test_signals_of_the_uwsgi_module_work_too(uwsgi):
    """Each is handled once. heliograph rejects a number that the module has registered."""
    code = """
import uwsgi as raw
raw.register_signal(10, "mule1", lambda num: record(f"raw{num}"))
attempt(Signal(10).register_handler("mule1"), record)
Signal(1).register_handler("mule1")(lambda: record("ours"))

@Signal(2).register_handler("worker1")
def both():
    for _ in range(50):
        raw.signal(10)
        raw.signal(1)
        Signal(1).send()
        Signal(10).send()
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1")
    assert uwsgi.outcomes()[0].startswith("AlreadyRegistered: ")
    assert "Use another number" in uwsgi.outcomes()[0]
    server.send(2)
    server.expect(100, "ours")
    server.expect(100, "raw10")
    server.send(1)
    server.expect(101, "ours")
    assert len(server.events("raw10")) == 100
    assert server.end() == 0


def test_a_child_process_can_send(uwsgi):
    """It does not change its parent's counters, and no timer fires in it."""
    code = """
from heliograph.runtime.scheduling import register_timer
register_timer(0.05, target="mule1", name="tick")(lambda: record("tick"))
Signal(1).register_handler("mule1")(lambda: record("work"))

@Signal(2).register_handler("worker1")
def fork():
    if os.fork():
        os.wait()
        record("parent")
    else:
        time.sleep(0.3)
        Signal(1).send()
        os._exit(0)

Signal(3).register_handler("worker1")(lambda: record(f"sent{engines.current().counters.total('sent', 1)}"))
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1")
    server.expect(1, "tick")
    server.send(2)
    server.expect(1, "work")
    assert server.expect(1, "parent")[0].pid == uwsgi.pid_of("worker1")
    server.send(3)
    server.expect(1, "sent1")
    since = len(server.events("tick"))
    server.expect(since + 3, "tick")
    assert server.end() == 0


def test_triggers_survive_worker_1(uwsgi):
    """K9: Worker 1 is replaced after the watched file was removed. The monitor, timers and hooks continue."""
    code = """
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import register_timer
register_file_monitor("watched", target="mule1", name="file")(lambda: record("changed"))
register_timer(0.1, target="mule1", name="tick")(lambda: record("tick"))
uwsgi.postfork_hooks.add()(lambda: record("hook"))
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1", files=[("watched", "")])
    server.expect(1, "tick")
    (server.directory / "watched").unlink()
    server.expect(1, "changed")
    os.kill(uwsgi.pid_of("worker1"), signal.SIGKILL)
    server.expect(4, "hook")
    server.expect(len(server.events("tick")) + 3, "tick")
    since = len(server.events("changed"))
    (server.directory / "watched").touch()
    server.expect(since + 1, "changed")
    assert server.end() == 0
