"""Wake-ups on real uWSGI: no task is forgotten, although uWSGI loses signals of killed processes.

The tasks of these tests are files in a directory. They are stored by a rename, and claimed by another one.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("uwsgi")

TASKS = Path(__file__).parents[1].joinpath("directory_store.py").read_text()

LISTEN = (
    TASKS
    + """
engine.on_wake("mule", turn)

@Signal(1).register_handler("worker")
def storm():
    for _ in range(100):
        store("t")
        engine.wake("mule")
    record("stored")

@Signal(2).register_handler("worker2")
def defer():
    store("t")
    engine.wake_at("mule", time.time() + 1.0)
    record("deferred")

@uwsgi.postfork_hooks.add()
def alive():
    record("alive")
"""
)

ENQUEUE = """
import sys, time
from heliograph import engines
engine = engines.current()
assert engine.name == "detached", engine.name
if len(sys.argv) > 1:
    engine.wake_at("default", time.time() + float(sys.argv[1]))
else:
    engine.wake("default")
"""


def ring(server, *arguments):
    """Run a program that no server started."""
    env = {**os.environ, "PWD": str(server.directory)}
    subprocess.run([sys.executable, "-c", ENQUEUE, *arguments], cwd=server.directory, env=env, check=True, timeout=60)


def tasks(server):
    """Return the stored tasks that nobody has claimed."""
    names = [path.name for path in (server.directory / "store").iterdir()]
    return [name for name in names if not name.endswith((".new", ".claimed"))]


def start(uwsgi, code=LISTEN, mules=2):
    """Start uWSGI, and wait until its first processes have looked for tasks."""
    server = uwsgi.start(code, "--master", "--enable-threads", *(("--mules", str(mules)) if mules else ()))
    eventually("a doorbell", lambda: list(server.directory.rglob("doorbell")))
    eventually("the first turn", lambda: server.events("turn"))
    server.expect(2 + mules, "alive")
    return server


def test_no_task_is_forgotten_while_mules_are_killed(uwsgi):
    """uWSGI drops the signals that a killed mule had taken. Its successor looks for tasks."""
    server = start(uwsgi)
    for _ in range(4):
        server.send(1)
        for _ in range(3):
            time.sleep(random.uniform(0, 0.05))
            with contextlib.suppress(ProcessLookupError):
                os.kill(uwsgi.pid_of(random.choice(["mule1", "mule2"]), "alive"), signal.SIGKILL)
    server.expect(4, "stored")
    eventually("all tasks claimed", lambda: not tasks(server))
    server.end()


def test_a_time_is_kept_by_worker_1(uwsgi):
    """Whichever process asked. The death of worker 1 does not lose it for good: it wakes all targets at its start."""
    server = start(uwsgi, mules=1)
    server.send(2)
    server.expect(1, "deferred")
    eventually("the task claimed", lambda: not tasks(server))
    server.send(2)
    server.expect(2, "deferred")
    os.kill(uwsgi.pid_of("worker1"), signal.SIGKILL)
    eventually("the task claimed", lambda: not tasks(server))
    server.end()


def test_a_program_outside_rings_the_doorbell(uwsgi):
    """Worker 1 has it. The program finds the server by the working directory."""
    server = start(uwsgi, LISTEN.replace('on_wake("mule"', 'on_wake("default"'), mules=0)
    time.sleep(1.2)
    count = len(server.events("turn"))
    ring(server)
    server.expect(count + 1, "turn")
    ring(server, "0.3")
    server.expect(count + 2, "turn")
    server.end()


def test_two_servers_cannot_have_one_directory(uwsgi):
    """The second one does not load the application."""
    server = start(uwsgi)
    command = [
        sys.executable,
        "-m",
        "heliograph",
        "run",
        "tasks",
        "--engine",
        "uwsgi",
        "--workers",
        "2",
        "--mules",
        "1",
    ]
    second = subprocess.run(command, cwd=server.directory, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "belong to a running server" in second.stdout + second.stderr
    server.end()
