"""Wake-ups of the heliograph server: which process looks for tasks, and that none of them is forgotten.

The tasks of these tests are files in a directory. They are stored by a rename, and claimed by another one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

TASKS = Path(__file__).with_name("directory_store.py").read_text()

STORM = (
    TASKS
    + """
engine.on_wake("default", turn)

@Signal(1).register_handler("workers")
def storm():
    for _ in range(300):
        store("t")
        engine.wake("default")
    record("stored")
"""
)


def tasks(server):
    """Return the stored tasks that nobody has claimed."""
    names = [path.name for path in (server.directory / "store").iterdir()]
    return [name for name in names if not name.endswith((".new", ".claimed"))]


def killers(server, count, names):
    """Kill processes of the server at random moments."""
    for _ in range(count):
        time.sleep(random.uniform(0.0, 0.03))
        pid = server.pids().get(random.choice(names))
        if pid:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.quick
def test_each_process_looks_for_tasks_once_when_it_starts(server):
    """A killed server may have left some. After a kill, the successor looks."""
    server.start(TASKS + 'engine.on_wake("mule1", turn)\nengine.on_wake("mule2", turn)\n', "--mules", "2")
    server.expect(2, "turn")
    assert sorted(event.by for event in server.events("turn")) == ["mule1", "mule2"]
    pid = server.kill("mule2")
    server.await_successor("mule2", pid)
    eventually(
        "a turn of the successor", lambda: [e for e in server.events("turn") if e.by == "mule2" and e.pid != pid]
    )
    assert server.end() == 0


def test_no_task_is_forgotten_while_receivers_and_senders_are_killed(server):
    """Every stored task is claimed soon, without another wake-up. Dropped wake-ups are an error."""
    server.start(STORM, "--workers", "2", "--mules", "2")
    for _ in range(6):
        server.send(1)
        killers(server, 4, ["mule1", "mule2", "worker1"])
    server.expect(1, "stored")
    eventually("all tasks claimed", lambda: not tasks(server))
    log = server.log
    assert "Dropped signal 255" not in log
    assert "no handler" not in log
    assert server.end() == 0


def test_a_full_queue_does_not_forget_a_task(server):
    """The queue of the mules is full of other signals. The master sends the wake-up when there is space."""
    code = """
engine.on_wake("mule", turn)

@Signal(1).register_handler("mule")
def block():
    record("blocked")
    block_on("gate")

@Signal(2).register_handler("worker")
def fill():
    Signal(1).send()
    try:
        while True:
            Signal(1).send(timeout=0.2)
    except TimeoutError:
        record("full")
    store("t")
    engine.wake("mule")
    engine.wake("mule")
    record("rung")
"""
    server.start(TASKS + code, "--mules", "1")
    server.expect(1, "turn")
    server.send(2)
    server.expect(1, "rung")
    assert tasks(server)
    server.release("gate")
    eventually("the task claimed", lambda: not tasks(server))
    assert server.end() == 0


def test_a_stop_does_not_wait_for_all_tasks(server):
    """A turn that always wakes the next one would keep the queues from becoming empty."""
    server.start(TASKS + 'engine.on_wake("mule", lambda: engine.wake("mule"))\n', "--mules", "1")
    began = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - began < 10


def test_a_time_outlives_the_process_that_asked_for_it(server):
    """The master has it, and a reload keeps it."""
    code = """
engine.on_wake("mule1", turn)

@Signal(1).register_handler("worker")
def defer():
    engine.wake_at("mule1", time.time() + 1.5)
    store("t")
    record("deferred")
"""
    server.start(TASKS + code, "--mules", "1")
    server.expect(1, "turn")
    server.send(1)
    server.expect(1, "deferred")
    server.kill("worker1")
    began = time.monotonic()
    assert server.command("reload", "--wait").returncode == 0
    eventually("the task claimed", lambda: not tasks(server))
    assert time.monotonic() - began < 15
    assert server.end() == 0


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


def ring(server, *arguments, **env):
    """Run a program that no server started."""
    command = [sys.executable, "-c", ENQUEUE, *arguments]
    env = {**os.environ, "HELIOGRAPH_NAME": server.name, **env}
    subprocess.run(command, cwd=server.directory, env=env, check=True, timeout=60)


@pytest.mark.parametrize("flags", [(), ("--spooler", "spool")], ids=["state directory", "--spooler"])
def test_a_program_outside_rings_the_doorbell(server, flags):
    """By the name of the server. Nobody there is no error, and the socket is gone with the server."""
    ring(server)
    server.start(TASKS + 'engine.on_wake("default", turn)\n', *flags)
    server.expect(1, "turn")
    ring(server)
    server.expect(2, "turn")
    ring(server, "0.2")
    server.expect(3, "turn")
    assert server.end() == 0
    assert list(server.directory.rglob("doorbell")) == []
    ring(server)


def test_a_reload_opens_a_directory_of_tasks_that_was_replaced(server):
    """So programs outside reach the server again, and a second server is rejected again."""
    server.start(TASKS + 'engine.on_wake("default", turn)\n', "--spooler", "spool")
    server.expect(1, "turn")
    spool = server.directory / "spool"
    spool.rename(server.directory / "away")
    assert server.command("reload", "--wait").returncode == 0
    server.expect(2, "turn")
    assert (spool / "doorbell").exists()
    command = [sys.executable, "-m", "heliograph", "run", "tasks", "--name", "other", "--spooler", "spool"]
    second = subprocess.run(command, cwd=server.directory, capture_output=True, text=True, timeout=60, check=False)
    assert "belong to a running server" in second.stderr
    server.await_log("The directory of tasks has changed")
    assert server.end() == 0


def test_a_server_without_tasks_has_no_directory_for_them(server):
    """Nor a doorbell."""
    server.start("\n@Signal(1).register_handler\ndef handle(): record('handled')\n")
    server.send(1)
    server.expect(1, "handled")
    assert list(server.directory.rglob("*.tasks")) == []
    assert server.end() == 0


def test_two_servers_cannot_have_one_directory(server):
    """The error names the other. The lock of a killed master is free."""
    server.start(TASKS + 'engine.on_wake("default", turn)\n', "--spooler", "spool")
    command = [sys.executable, "-m", "heliograph", "run", "tasks", "--name", "other", "--spooler", "spool"]
    second = subprocess.run(command, cwd=server.directory, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "belong to a running server: 'e2e'" in second.stderr
    os.kill(server.master(), signal.SIGKILL)
    server.wait()
    server.launch("--spooler", "spool")
    server.await_log("Server ready: ", 2)
    assert server.end() == 0


def test_an_idle_server_with_a_time_hours_away_does_nothing(server):
    """The master sleeps until then."""
    code = 'engine.on_wake("mule1", lambda: (engine.wake_at("mule1", time.time() + 7200), record("turn")))\n'
    server.start(TASKS + code, "--mules", "1")
    server.expect(1, "turn")
    time.sleep(1)
    before = _switches(server.master())
    time.sleep(5)
    assert _switches(server.master()) - before <= 1
    assert server.end() == 0


def _switches(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "voluntary_ctxt_switches" in line)
