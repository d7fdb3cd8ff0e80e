"""The start of the heliograph server: failures, names that are in use, and a master that is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

BUSY = """
@Signal(1).register_handler("mule1")
def work():
    record("started")
    block_on("gate")

@Signal(2).register_handler("worker")
def spin():
    record("spins")
    while True:
        pass
"""


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["plain", "lazy"])
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def broken(:", "SyntaxError"),
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("1 / 0", "ZeroDivisionError"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("Signal(1).register_handler('mule9')(record)", "target 'mule9'"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_exit_code_two(server, lazy, code, says):
    """The log has the traceback of the application's own code. No process is left."""
    server.write(code)
    server.launch("--mules", "2", *lazy)
    assert server.wait() == 2
    assert says in server.log
    assert "tasks.py" in server.log
    assert "Cannot load the application: " in server.log
    assert "heliograph/application.py" not in server.log


def test_all_processes_end_if_the_master_is_killed(server):
    """Within a second, also with a blocked or spinning handler. Then a new server can use the name."""
    server.start(BUSY, "--mules", "1", "--workers", "2", "--spooler", "spool")
    server.send(1)
    server.send(2)
    server.expect(1, "started")
    server.expect(1, "spins")
    assert len(server.session()) == 6
    os.kill(server.master(), signal.SIGKILL)
    server.process.wait()
    killed = time.monotonic()
    eventually("no process left", lambda: not server.session())
    assert time.monotonic() - killed < 1
    assert (server.directory / "heliograph" / "e2e.sock").is_socket()
    assert (server.directory / "remote.sock").is_socket()
    (server.directory / "gate").touch()
    server.launch("--mules", "1", "--socket", "remote.sock", "--allow-remote", "1")
    server.await_log("Server ready: ", 2)
    server.send(1)
    server.expect(2, "started")
    assert server.end() == 0


def test_all_processes_end_if_the_master_is_killed_during_the_start(server):
    """During the import, or during the post-fork hooks."""
    server.write(
        "Path('imports').touch()\nblock_on('gate')\n"
        "@uwsgi.postfork_hooks.add()\ndef hook(): record('hook'); block_on('never')"
    )
    server.launch("--mules", "1")
    eventually("the import", (server.directory / "imports").exists)
    os.kill(server.master(), signal.SIGKILL)
    server.process.wait()
    eventually("no process left", lambda: not server.session(), 1)
    server.release("gate")
    server.launch("--mules", "1")
    server.expect(2, "hook")
    os.kill(server.master(), signal.SIGKILL)
    server.process.wait()
    eventually("no process left", lambda: not server.session(), 1)


def test_a_second_server_with_the_same_name_is_rejected(server):
    """It exits with 2 and one line that names the first, which continues."""
    server.start("@Signal(1)\ndef work(): record('done')")
    first, before = server.process, server.log
    second = server.launch()
    assert second.wait(20) == 2
    said = server.log.removeprefix(before)
    assert len(said.splitlines()) == 1
    assert f"process {first.pid}" in said
    server.process = first
    server.send(1)
    server.expect(1, "done")
    assert server.end() == 0


PROGRAM = """
import ctypes  # before descriptors are counted: a new libffi opens one here and keeps it
import gc, logging, os, subprocess, sys, time
from pathlib import Path
import heliograph

def descriptors():
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))

logging.basicConfig(level=logging.INFO)
before = descriptors()
other = subprocess.Popen(["sleep", "0"])
for round in range(2):
    code = heliograph.serve("tasks", workers=2, mules=2, name="e2e", spooler="spool", farms={"crew": [1, 2]},
                            listen="remote.sock", allow_remote=[1])
    assert "tasks" not in sys.modules
    print("code", code, "descriptors", len(descriptors()) - len(before), flush=True)
    assert other.wait() == 0, "serve() took the exit code of a child of the program"
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    print("children", children.split(), flush=True)
    while not Path(f"again{round}").exists():
        time.sleep(0.002)
raise SystemExit(code + 7)
"""


@pytest.mark.quick
def test_serve_does_what_the_command_does(server):
    """A program calls `serve()` twice. Signals, reload and stop work, and no descriptor, process or module stays."""
    server.write("@Signal(1).register_handler('farm_crew')\ndef work(): record('done')")
    (server.directory / "program.py").write_text(PROGRAM)
    server.process = server.popen(sys.executable, "program.py")
    for number in (1, 2):
        server.await_log("Server ready: worker1, worker2, mule1, mule2, spooler1 of tasks", number)
        server.send(1)
        server.expect(number, "done")
        assert server.command("reload").returncode == 0
        assert server.command("stop").returncode == 0
        server.await_log("code 0 descriptors 0", number)
        server.await_log(r"children \[\]", number)
        server.release(f"again{number - 1}")
    assert server.wait() == 7


LOGGING = """
import logging
logging.getLogger("shop").info("hello from the application")

@Signal(1).register_handler("mule1")
def fail():
    record("done")
    raise ValueError("broken")
"""


def test_the_log_level_applies_to_heliograph_in_every_process(server):
    """The application's loggers keep level INFO. Each line has the id of the process that wrote it."""
    server.write(LOGGING)
    server.launch(
        "--mules",
        "1",
        "--spooler",
        "spool",
        "--log-level",
        "error",
        "--socket",
        server.remote_socket,
        "--allow-remote",
        "1",
    )
    server.await_log(r"INFO shop\[\d+\]: hello from the application")
    eventually("all processes run", lambda: server.state()["complete"])
    server.send(1)
    server.expect(1, "done")
    server.await_log(rf"ERROR heliograph\.signals\[{server.pids()['mule1']}\]: ")
    assert (server.directory / "spool").stat().st_mode & 0o777 == 0o700
    assert Path(server.remote_socket).stat().st_mode & 0o777 == 0o600
    assert server.end() == 0
    assert "INFO heliograph" not in server.log


@pytest.mark.parametrize(
    "arguments", ["workers=0", "mules=-1", "farms={'a': [1]}", "graceful_timeout=-1", "app='no such'"]
)
def test_serve_rejects_invalid_arguments(server, arguments):
    """It raises `ConfigError` and starts nothing."""
    server.write("")
    program = f"import heliograph\noptions = dict(app='tasks', name='e2e')\noptions.update({arguments})\n"
    server.process = server.popen(sys.executable, "-c", program + "heliograph.serve(**options)")
    assert server.wait() == 1
    assert "ConfigError" in server.log
    assert not (server.directory / "heliograph" / "e2e.lock").exists()
