"""A heliograph server that gets no process and no descriptor for a while."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

CODE = """
@Signal(1).register_handler("mule1")
def work():
    record("VERSION")
"""
PLAIN_USER = 64123 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""A user without other processes. The limit of processes does not bind root."""
MAY_WRITE = "-all,+dac_override,+dac_read_search"
AS_PLAIN_USER = (
    *("setpriv", f"--reuid={PLAIN_USER}", "--clear-groups"),
    *(f"--inh-caps={MAY_WRITE}", f"--ambient-caps={MAY_WRITE}", f"--bounding-set={MAY_WRITE}"),
)
"""A command that runs a program without the rights of root, except that it can use the files of root."""


def limit_descriptors(pid, count):
    """Set the soft limit of a process, and return the former one."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, hard))
    return soft


def reload(server, succeeds):
    """Send SIGHUP, and wait until the log says how it ended."""
    pattern = "Reload complete" if succeeds else "Reload failed, keeping the old code"
    count = server.log.count(pattern)
    os.kill(server.master(), signal.SIGHUP)
    server.await_log(pattern, count + 1)


def test_a_reload_without_descriptors_keeps_the_old_code(server):
    """At every number of missing descriptors. The master still replaces processes, and a later reload succeeds."""
    server.start(CODE.replace("VERSION", "old"), "--mules", "1")
    server.write(CODE.replace("VERSION", "new"))
    highest = max(int(path.name) for path in Path(f"/proc/{server.master()}/fd").iterdir())
    pid = server.pids()["mule1"]
    limit = limit_descriptors(server.master(), 3)
    for free in range(5):
        limit_descriptors(server.master(), highest + free)
        reload(server, succeeds=False)
    os.kill(pid, signal.SIGKILL)
    server.await_log("Replaced mule1")
    limit_descriptors(server.master(), limit)
    server.send(1)
    server.expect(1, "old")
    reload(server, succeeds=True)
    server.send(1)
    server.expect(1, "new")
    assert "Too many open files" in server.log
    assert "Traceback" not in server.log
    assert server.end() == 0


def test_a_stop_without_descriptors(server):
    """It needs none."""
    server.start(CODE, "--mules", "1")
    limit_descriptors(server.master(), 3)
    assert server.end() == 0
    assert "Traceback" not in server.log


def test_a_fork_server_without_descriptors_forks_when_there_are_some_again(server):
    """The master tries again with growing delays. The log says why."""
    server.start(CODE.replace("VERSION", "done"), "--mules", "1")
    fork_server = server.fork_server()
    limit = limit_descriptors(fork_server, 3)
    pid = server.kill("mule1")
    server.send(1)
    server.await_log(r"Cannot fork mule1 \(Too many open files\), trying again in", 3)
    limit_descriptors(fork_server, limit)
    server.await_successor("mule1", pid)
    server.expect(1, "done")
    assert server.fork_server() == fork_server
    assert server.end() == 0


@pytest.fixture
def prefix(tmp_path):
    """The beginning of a command for a user whom limits bind. The user owns the directory."""
    if os.getuid():
        return ()
    if not all(map(shutil.which, ("prlimit", "setpriv"))):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("not installed: prlimit and setpriv of util-linux")
    os.chown(tmp_path, PLAIN_USER, os.getgid())
    return AS_PLAIN_USER


@pytest.fixture
def plain_server(server, prefix):
    """A server of a user whom the limit of processes binds, and a function that sets this limit for a process."""

    def limit(pid, count):
        # An upper limit cannot be raised again, so only the soft one changes.
        subprocess.run([*prefix, "prlimit", "--pid", str(pid), f"--nproc={count}:"], check=True)

    server.write(CODE.replace("VERSION", "old"))
    server.process = server.popen(
        *(*prefix, sys.executable, "-m", "heliograph", "run", "tasks", "--name", server.name, "--mules", "1"),
    )
    server.await_log("Server ready: ")
    return server, limit


def processes(server, title):
    """Return the processes of the server whose title contains a text."""
    return [pid for pid in server.session() if title in command_line(pid)]


def command_line(pid):
    """Return the title of a process, empty if it has exited."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_reload_without_processes_keeps_the_old_code(plain_server):
    """The master may not start the new fork server. A later reload succeeds."""
    server, limit = plain_server
    _, most = resource.prlimit(0, resource.RLIMIT_NPROC)
    server.write(CODE.replace("VERSION", "new"))
    limit(server.master(), 1)
    reload(server, succeeds=False)
    assert "cannot start the fork server: Resource temporarily unavailable" in server.log
    limit(server.master(), 5000 if most == resource.RLIM_INFINITY else most)
    reload(server, succeeds=True)
    assert "Traceback" not in server.log
    assert server.end() == 0


def test_a_process_that_cannot_be_forked_comes_back(plain_server):
    """Its fork server may not fork. The master tries again with growing delays, and the server stays."""
    server, limit = plain_server
    (fork_server,), (mule,) = processes(server, "fork server"), processes(server, "mule1")
    limit(fork_server, 1)
    os.kill(mule, signal.SIGKILL)
    server.await_log(r"Cannot fork mule1 \(Resource temporarily unavailable\), trying again in", 3)
    limit(fork_server, 1000)
    eventually("a successor", lambda: processes(server, "mule1"))
    assert processes(server, "fork server") == [fork_server]
    assert server.end() == 0


USES_PAGES = """
import fcntl, os, sys
try:
    for _ in range(1000):
        for fd in os.pipe():
            os.set_inheritable(fd, True)
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
except PermissionError:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_queues_that_are_smaller_than_intended_are_logged(server, prefix):
    """Other programs of this user have used up the pages for pipes. The log names the limit."""
    server.write(CODE)
    command = ("-m", "heliograph", "run", "tasks", "--name", server.name, "--mules", "1")
    server.process = server.popen(*prefix, sys.executable, "-c", USES_PAGES, *command)
    server.await_log("Server ready: ")
    assert "signals instead of 65536: the pages for pipes of the user are used up (limit: /proc/sys/fs/" in server.log
    assert server.end() == 0


def test_queues_of_the_intended_size_are_not_logged(server):
    """Nothing is said about them."""
    server.start(CODE, "--mules", "1")
    assert "Some queues take only" not in server.log
    assert server.end() == 0
