"""The command of the web server: its process group, and its end with all that it started."""

import os
import sys
from pathlib import Path

import pytest

from heliograph.engines import MASTER_ENV
from heliograph.server.processes.web_server import WebServerProcess
from heliograph.testing.harness.harness import eventually

SHOW = "import os, sys; print(os.environ['HELIOGRAPH_MASTER'], os.getpgrp() == os.getpid(), flush=True)"
FORK = "import os, time\nif not os.fork(): time.sleep(60)\nprint(os.getpid(), flush=True)"


@pytest.fixture
def run(capfd):
    """Run a program as the web server. Return its exit status and output."""

    def run(program):
        beside = WebServerProcess([sys.executable, "-c", program], Path("/run/x.sock"))
        os.waitid(os.P_PID, beside.start(), os.WEXITED | os.WNOWAIT)
        beside.kill()
        return os.waitpid(beside.pid, 0)[1], capfd.readouterr().out

    return run


def test_a_command_finds_the_master(run, monkeypatch):
    """In the environment. It leads a process group of its own."""
    monkeypatch.delenv(MASTER_ENV, raising=False)
    assert run(SHOW) == (0, "/run/x.sock True\n")
    assert MASTER_ENV not in os.environ


def test_processes_that_it_leaves_behind_are_killed(run):
    """The command is not reaped yet, so the id of its group is not reused."""
    _, said = run(FORK)
    eventually("nobody of the group", lambda: not is_there(int(said)))


def is_there(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_command_that_does_not_exist():
    """The master logs the error."""
    with pytest.raises(FileNotFoundError):
        WebServerProcess(["/no/such/command"], Path("/run/x.sock")).start()
