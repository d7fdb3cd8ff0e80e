"""Fork servers that hang at import, hang in a fork, or exit soon after the load. The deadlines are short here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from heliograph.testing.harness.harness import eventually

CODE = """
@Signal(1).register_handler("mule1")
def work():
    record("VERSION")
"""
HANGS_IN_FORK = """
def hang():
    if Path("hang").exists():
        Path("hangs").touch()
        time.sleep(600)

os.register_at_fork(before=hang)
"""
EXITS = """
import threading
threading.Timer(0.1, os._exit, (7,)).start()
"""


def test_an_import_that_hangs_fails_and_a_later_reload_succeeds(server, installation):
    """After the deadline the fork server is killed. The old code keeps running until then, and after it."""
    installation.edit("_core/supervision/loads.py", "LOAD_TIMEOUT = 600.0", "LOAD_TIMEOUT = 1.0")
    server.start(CODE.replace("VERSION", "old"), "--mules", "1")
    before = server.pids()
    server.write("Path('hangs').touch()\ntime.sleep(600)\n")
    done = server.command("reload")
    assert done.returncode == 1
    assert done.stderr == "Error: reload failed, keeping the old code: not loaded within 1 s\n"
    assert server.pids() == before
    server.send(1)
    server.expect(1, "old")
    server.write(CODE.replace("VERSION", "new"))
    assert server.command("reload").returncode == 0, server.log
    server.send(1)
    server.expect(1, "new")
    assert server.end() == 0


def test_a_reload_that_is_requested_while_an_import_hangs_is_carried_out(server, installation):
    """It follows when the deadline of the first one has passed."""
    installation.edit("_core/supervision/loads.py", "LOAD_TIMEOUT = 600.0", "LOAD_TIMEOUT = 1.0")
    server.start(CODE.replace("VERSION", "old"), "--mules", "1")
    server.write("Path('hangs').touch()\ntime.sleep(600)\n")
    os.kill(server.master(), signal.SIGHUP)
    eventually("the import", (server.directory / "hangs").exists)
    server.write(CODE.replace("VERSION", "new"))
    done = server.command("reload")
    assert (done.returncode, done.stderr) == (0, "Reload complete (generation 3)\n"), server.log
    assert server.end() == 0


def test_a_process_comes_back_although_its_fork_hangs(server, installation):
    """A hook of a library hangs. After the deadline the fork server is killed, and the application loaded again."""
    installation.edit("_core/supervision/children.py", "FORK_TIMEOUT = 30.0", "FORK_TIMEOUT = 1.0")
    server.start(HANGS_IN_FORK + CODE.replace("VERSION", "done"), "--mules", "1")
    server.release("hang")
    old = server.kill("mule1")
    eventually("the fork", (server.directory / "hangs").exists)
    server.send(1)
    (server.directory / "hang").unlink()
    server.await_successor("mule1", old)
    server.expect(1, "done")
    assert "mule1 was not forked within 1 s, killed the fork server, loading the application again" in server.log
    eventually("all processes", lambda: server.state()["complete"])
    assert server.end() == 0


def test_a_reload_starts_a_process_whose_fork_hangs_in_the_old_fork_server(server, installation):
    """The old fork server is stopped by SIGSTOP, and the new one forks the process after the deadline."""
    installation.edit("_core/supervision/children.py", "FORK_TIMEOUT = 30.0", "FORK_TIMEOUT = 1.0")
    server.start(CODE.replace("VERSION", "done"), "--mules", "1")
    stopped = server.fork_server()
    os.kill(stopped, signal.SIGSTOP)
    server.kill("mule1")
    done = server.command("reload")
    assert done.returncode == 0, server.log
    server.send(1)
    server.expect(1, "done")
    eventually("the end of the old fork server", lambda: stopped not in server.session())
    assert server.end() == 0


HANGS_AT_IMPORT = """
Path("part").write_text(str(os.getpid()))
os.rename("part", "hangs")
"""


@pytest.mark.parametrize(
    ("hang", "options"),
    [("time.sleep(600)", ()), ("os.kill(os.getpid(), signal.SIGSTOP)", ()), ("time.sleep(600)", ("--lazy-apps",))],
    ids=["sleeps", "stopped", "in a child"],
)
def test_a_reload_replaces_an_import_that_hangs(server, installation, hang, options):
    """It does not wait for the deadline. The log names the process, which the master kills with its children."""
    installation.edit("_core/supervision/loads.py", "SLOW_LOAD = 15.0", "SLOW_LOAD = 1.0")
    installation.edit("_core/supervision/loads.py", "2 * self._load_seconds", "0.0")
    server.start(CODE.replace("VERSION", "old"), "--mules", "1", *options)
    server.write(HANGS_AT_IMPORT + hang)
    os.kill(server.master(), signal.SIGHUP)
    eventually("the import", (server.directory / "hangs").exists)
    hanging = int((server.directory / "hangs").read_text())
    server.await_log(r"generation 2, fork server pid \d+\)")
    if not options:
        assert f"(generation 2, fork server pid {hanging})" in server.log
    server.write(CODE.replace("VERSION", "new"))
    done = server.command("reload")
    assert (done.returncode, done.stderr) == (0, "Reload complete (generation 3)\n"), server.log
    assert "killing its fork server because another reload was requested" in server.log
    eventually("the end of the hanging process", lambda: hanging not in server.session())
    server.send(1)
    server.expect(1, "new")
    assert server.end() == 0


def test_a_reload_replaces_a_fork_server_that_hangs_in_a_fork(server, installation):
    """The new code hangs in its first fork, when the old processes have drained. Corrected code starts them."""
    installation.edit("_core/supervision/children.py", "FORK_TIMEOUT = 30.0", "FORK_TIMEOUT = 600.0")
    installation.edit("_core/supervision/children.py", "OLD_FORK_TIMEOUT = 5.0", "OLD_FORK_TIMEOUT = 0.5")
    server.start(CODE.replace("VERSION", "old"), "--mules", "1")
    server.release("hang")
    server.write(HANGS_IN_FORK + CODE.replace("VERSION", "hanging"))
    os.kill(server.master(), signal.SIGHUP)
    eventually("the fork", (server.directory / "hangs").exists)
    server.write(CODE.replace("VERSION", "new"))
    done = server.command("reload")
    assert (done.returncode, done.stderr) == (0, "Reload complete (generation 3)\n"), server.log
    assert re.search("The fork server of generation 2 has not forked (worker1|mule1) in time, killing it", server.log)
    server.send(1)
    server.expect(1, "new")
    assert server.end() == 0


def test_a_fork_server_that_exits_after_each_load_is_started_with_growing_delays(server):
    """The master and its processes live on. The code that is written in the meantime is loaded."""
    server.start(CODE.replace("VERSION", "old"), "--mules", "1")
    server.write(EXITS + CODE.replace("VERSION", "bad"))
    os.kill(server.master(), signal.SIGHUP)
    server.await_log("loading the application again in 0.4 s")
    assert server.log.count("Loaded 1 signal,") <= 7
    server.write(CODE.replace("VERSION", "good"))
    eventually("good code", lambda: server.state()["complete"] and server.send(1) is None and server.events("good"))
    assert "Traceback" not in server.log
    assert server.end() == 0


GOES_ON = """
import heliograph, logging
logging.basicConfig(level=logging.INFO)
heliograph.serve("tasks", name="e2e", mules=1, graceful_timeout=1)
print("served", flush=True)
input()
"""


@pytest.mark.parametrize("hangs", ["in a hook", "stopped"])
def test_a_fork_that_hangs_at_the_stop_leaves_no_process(server, hangs):
    """The program that called `serve()` goes on, so the kernel does not end the processes of the server."""
    server.write(HANGS_IN_FORK + CODE.replace("VERSION", "done"))
    server.process = server.popen(sys.executable, "-c", GOES_ON, stdin=subprocess.PIPE)
    server.await_log("Server ready")
    fork_server = server.fork_server()
    if hangs == "stopped":
        os.kill(fork_server, signal.SIGSTOP)
    else:
        server.release("hang")
    server.kill("mule1")
    if hangs != "stopped":
        eventually("the fork", (server.directory / "hangs").exists)
    os.kill(server.master(), signal.SIGTERM)
    server.await_log("served")
    eventually("no process of the server", lambda: server.session() == [server.master()])
    server.process.communicate(b"\n")
    assert server.wait() == 0
