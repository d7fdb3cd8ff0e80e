"""The command of the web server: its process group, and its end with all that it started."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.engines import MASTER_ENV
from heliograph.server.processes.web_server import WebServerProcess, activated_sockets
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


SOCKETS = (
    "import os, socket; print(os.environ['LISTEN_PID'] == str(os.getpid()), socket.socket(fileno=3).getsockname())"
)


def test_sockets_of_systemd_reach_the_command(tmp_path):
    """They are descriptors from 3 on, and LISTEN_PID is the process id of the command."""
    program = """
import os, pathlib, socket, sys
from heliograph.server.processes.web_server import WebServerProcess
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
os.dup2(listener.fileno(), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
command = WebServerProcess([sys.executable, "-c", sys.argv[1]], pathlib.Path("x.sock"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(command.start(), 0)[1]))
"""
    path = str(tmp_path / "listener")
    done = subprocess.run([sys.executable, "-c", program, SOCKETS, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"True {path}\n", "")


def test_sockets_for_another_process_are_not_passed(monkeypatch):
    """Or none, or something that is no number."""
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert activated_sockets() == ()
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert activated_sockets() == (3, 4)
    monkeypatch.setenv("LISTEN_FDS", "two")
    assert activated_sockets() == ()
    monkeypatch.delenv("LISTEN_FDS")
    assert activated_sockets() == ()


IN_A_TERMINAL = """
import os, pathlib, signal, subprocess, sys
from heliograph.ipc.prctl import set_child_subreaper
from heliograph.server.processes.web_server import WebServerProcess

set_child_subreaper(True)
leave_behind = [sys.executable, "-c", "import os, time, sys; print(os.fork() or time.sleep(600), flush=True)"]
command = WebServerProcess(leave_behind, pathlib.Path("x.sock"))
os.waitid(os.P_PID, command.start(), os.WEXITED | os.WNOWAIT)
spared = subprocess.Popen(["sleep", "600"])
command.kill({spared.pid})
os.waitpid(command.pid, 0)
print("killed", os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]), spared.poll(), flush=True)
spared.kill()
"""


def test_in_a_terminal_its_processes_are_killed_one_by_one():
    """The command is in the master's process group, so that it may read from the terminal. Others are spared."""
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=20,
        start_new_session=True,
    )
    os.close(leader)
    os.close(follower)
    assert done.stdout.splitlines()[-1:] == ["killed -9 None"], done.stdout
