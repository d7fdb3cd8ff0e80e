"""`heliograph stack` with the workers of a web server."""

from __future__ import annotations

import signal

import pytest
from tests.e2e.web.conftest import COMMANDS

from heliograph.insights import read_stacks
from heliograph.ipc.instance import control_socket
from heliograph.testing.harness.harness import eventually

HANGS = """
import ctypes, json, threading

@Signal(13).register_handler("workers")
def hangs():
    record("hangs")
    while not os.path.exists("gate"):
        ctypes.CDLL(None).usleep(1000)

def answer(path):
    return json.dumps({"pid": os.getpid(), "by": str(engines.current().identity)}).encode()
"""


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "gunicorn-gevent"])
def test_workers_that_joined_answer(make_web_server, command):
    """While a handler hangs in a thread and the main thread serves. The web server notices nothing."""
    web_server = make_web_server(command).start(code=HANGS)
    server = web_server.server
    eventually("two workers", lambda: {"worker1", "worker2"} <= server.pids().keys())
    server.send(13)
    server.expect(2, "hangs")
    pids = server.pids()
    for found in read_stacks(control_socket(server.name), ["worker1", "worker2"]):
        assert (found.pid, found.error) == (pids[found.process], None)
        hanging = ["hangs" in [frame.function for frame in thread.frames] for thread in found.threads]
        assert sorted(hanging)[-2:] == [False, True]
    assert web_server.get().is_success
    assert server.pids() == pids
    server.release("gate")
    assert server.end() == 0


def test_greenlets(make_web_server):
    """A handler that hangs holds up the thread of all greenlets, and its frames are there."""
    web_server = make_web_server("gunicorn-gevent").start(code=HANGS)
    server = web_server.server
    eventually("two workers", lambda: {"worker1", "worker2"} <= server.pids().keys())
    server.send(13)
    server.expect(2, "hangs")
    for found in read_stacks(control_socket(server.name), ["worker1", "worker2"]):
        assert found.error is None
        assert "hangs" in [frame.function for thread in found.threads for frame in thread.frames]
    server.release("gate")
    assert server.end(signal.SIGTERM) == 0


def test_the_web_server_itself(make_web_server):
    """It is another program. The error names the processes that can be asked."""
    server = make_web_server("gunicorn-sync").start().server
    done = server.command("stack", "webserver")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the web server is a program of its own. Ask for its workers: master, ")
    assert server.end() == 0
