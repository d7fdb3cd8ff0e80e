"""`heliograph status` of servers that start, stop, do not load or do not answer."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

APP = """
from heliograph import task

@Signal(1).register_handler("mule1")
def one():
    record("one")

@task
def nothing():
    pass
"""
OPTIONS = ("--mules", "1", "--spooler", "spool")


@pytest.fixture
def waiting(server):
    """Start `heliograph status --wait-ready` before the server, and return a function that waits for its end."""
    command = [sys.executable, "-m", "heliograph", "status", "--name", server.name, "--wait-ready", "60"]
    process = subprocess.Popen(command, cwd=server.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish():
        stdout, stderr = process.communicate(timeout=90)
        return process.returncode, stdout, stderr

    finish.pid = process.pid
    yield finish
    process.kill()
    process.communicate()


def test_a_server_is_waited_for_until_it_is_ready(server, waiting):
    """It is started later, and its application loads slowly."""
    server.write("import time\ntime.sleep(1.5)\n" + APP)
    server.launch(*OPTIONS)
    code, stdout, stderr = waiting()
    assert (code, stderr) == (0, "")
    assert stdout.startswith("e2e is well: tasks, generation 1, up ")
    assert "ready: " in server.log.lower()


def test_an_application_that_does_not_load_ends_the_wait(server, waiting):
    """The load fails when the command waits for events."""
    server.write('block_on("gate")\nraise SystemError("no database")\n')
    server.launch(*OPTIONS)
    server.await_log("Starting heliograph")
    eventually("the command waits", lambda: _sleeps(waiting.pid, server.state), timeout=60.0)
    server.release("gate")
    code, _, stderr = waiting()
    assert (code, stderr) == (1, "Error: the application did not load: SystemError: no database\n")


def _sleeps(pid, ask):
    """Return True if a process has a connection, and slept while the server answered somebody else."""
    if (before := _switches(pid)) is None:
        return False
    ask()
    return before == _switches(pid)


def _switches(pid):
    """Return how often a process has begun to wait. None: it does not wait, or has no connection."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    try:
        links = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:  # it closes one
        return None
    is_waiting = status["State"].split()[0] == "S" and any(link.startswith("socket:") for link in links)
    return status["voluntary_ctxt_switches"].strip() if is_waiting else None


def test_a_server_that_does_not_answer(server):
    """It is stopped. The exit code is 1, and 0 again when it goes on."""
    server.start(APP, *OPTIONS)
    os.kill(server.master(), signal.SIGSTOP)
    try:
        done = server.command("status", "--timeout", "0.5")
        assert (done.returncode, "[no_answer]" in done.stdout) == (1, True)
        assert server.command("status", "--timeout", "0.5", "--wait-ready", "0.5").returncode == 2
    finally:
        os.kill(server.master(), signal.SIGCONT)
    assert server.command("status").returncode == 0


def test_without_a_server_the_tasks_are_shown(server):
    """With the exit code 2, before a server has made a store and after its stop."""
    assert server.command("status").returncode == 2
    server.start(APP, *OPTIONS)
    assert server.command("enqueue", "tasks:nothing").returncode == 0
    assert server.end() == 0
    done = server.command("status", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["store"]["directory"] == str(server.directory / "spool")
    done = server.command("status")
    assert (done.returncode, "tasks: 1 " in done.stdout) == (2, True)
    assert done.stderr == "Error: no server runs. Start one with `heliograph run APP`, or pass --name or --control.\n"


def test_the_state_of_a_server_with_a_control_socket_of_its_own(server):
    """By its path and by its name."""
    server.start(APP, *OPTIONS, "--control", "own.sock")
    by_name = server.command("status", "--json")
    command = [sys.executable, "-m", "heliograph", "status", "--control", "own.sock", "--json"]
    by_path = subprocess.run(command, cwd=server.directory, capture_output=True, text=True, timeout=60, check=False)
    for done in by_name, by_path:
        found = json.loads(done.stdout)
        assert (done.returncode, found["name"], found["pid"]) == (0, "e2e", server.master())
        assert {process["name"] for process in found["processes"]} == {"master", "worker1", "mule1", "spooler1"}
        assert all(process["memory"] > 0 for process in found["processes"])
