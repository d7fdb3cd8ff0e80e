"""The stop of the heliograph server, and the state that it reports."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time

import pytest

from heliograph._core.supervision.stopping import STOP_DEBOUNCE
from heliograph.ipc.control_client import ConnectionLost, ControlClient, RequestFailed, request
from heliograph.ipc.instance import InstanceLock, control_socket
from heliograph.testing.harness.harness import eventually

BUSY = """
@Signal(1).register_handler("mule1")
def work():
    record("started")
    block_on("gate")
    record("done")

@Signal(2).register_handler("worker")
def fill():
    for _ in range(200):
        Signal(1).send()
    record("filled")
"""


@pytest.fixture
def busy(server):
    """Start a server whose mule runs a handler while 200 more signals are queued for it."""
    return lambda *arguments: _make_busy(server.start(BUSY, "--mules", "1", *arguments))


def _make_busy(server):
    server.send(1)
    server.expect(1, "started")
    server.send(2)
    server.expect(1, "filled")
    return server


def test_only_the_master_reacts_to_the_terminal(busy):
    """Ctrl-C and a hangup reach all processes of a terminal. Only the master reacts."""
    server = busy()
    pids = [server.fork_server(), *server.pids().values()]
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
    server.release("gate")
    assert {event.pid for event in server.expect(201, "done")} == {server.pids()["mule1"]}
    assert [server.fork_server(), *server.pids().values()] == pids
    assert server.end() == 0


@pytest.mark.quick
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_queued_signals_are_handled_before_the_stop(busy, number):
    """After SIGTERM or Ctrl-C. The exit code is 0, and nothing is left."""
    server = busy()
    server.process.send_signal(number)
    server.await_log("Stopping: finishing queued signals")
    server.release("gate")
    assert server.wait() == 0
    assert len(server.events("done")) == 201
    assert not (server.directory / "heliograph" / "e2e.sock").exists()
    assert not (server.directory / "remote.sock").exists()
    assert "Lost" not in server.log


def test_queued_signals_are_handled_although_processes_are_replaced(busy):
    """With `--max-signals` processes are replaced during the stop."""
    server = busy("--max-signals", "20")
    server.process.send_signal(signal.SIGTERM)
    server.await_log("Stopping")
    server.release("gate")
    assert server.wait() == 0
    assert len(server.events("done")) == 201
    assert len({event.pid for event in server.events("done")}) > 10


def test_queued_signals_are_handled_although_a_process_is_killed(busy):
    """The successor handles the unfinished signals during the stop."""
    server = busy()
    mule = server.pids()["mule1"]
    server.process.send_signal(signal.SIGTERM)
    server.await_log("Stopping")
    assert server.kill("mule1") == mule
    server.await_successor("mule1", mule)
    server.release("gate")
    assert server.wait() == 0
    assert len(server.events("done")) == 201


def test_a_blocked_process_is_killed_after_the_graceful_timeout(busy):
    """The log gives the number of lost signals."""
    server = busy("--graceful-timeout", "0.3")
    before = time.monotonic()
    assert server.end() == 0
    assert 0.3 <= time.monotonic() - before < 5
    assert "did not exit within the graceful timeout, killing it" in server.log
    assert "Lost 201 queued signals" in server.log


def test_a_second_sigterm_stops_the_server_immediately(busy):
    """The server does not wait for the graceful timeout."""
    server = busy("--graceful-timeout", "600")
    server.process.send_signal(signal.SIGTERM)
    server.await_log("Stopping: finishing queued signals .graceful timeout 600 s.")
    before = time.monotonic()
    eventually("the debounce interval", lambda: time.monotonic() > before + STOP_DEBOUNCE)
    assert server.end() == 0
    assert time.monotonic() - before < 5
    assert "Stopping immediately" in server.log
    assert "did not exit within" not in server.log


def test_sigquit_stops_the_server_immediately(busy):
    """Ctrl-Backslash in a terminal. The server does not wait for the graceful timeout."""
    server = busy("--graceful-timeout", "600")
    assert server.end(signal.SIGQUIT) == 0
    assert "Stopping immediately" in server.log
    assert re.search(r"INFO .*Killing mule1 \(pid \d+\)", server.log)


def test_two_sigterms_in_quick_succession_count_as_one(busy):
    """`timeout` sends it twice. All queued signals are handled."""
    server = busy()
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGTERM)
    server.await_log("Stopping: finishing queued signals")
    server.release("gate")
    assert server.wait() == 0
    assert len(server.events("done")) == 201
    assert "Stopping immediately" not in server.log


def test_heliograph_stop_waits_until_the_server_has_stopped(busy):
    """The exit code is 0. The next `heliograph stop` exits with 2."""
    server = busy()
    server.release("gate")
    done = server.command("stop")
    assert (done.returncode, done.stderr) == (0, "")
    assert server.wait() == 0
    assert len(server.events("done")) == 201
    assert server.command("stop").returncode == 2


def test_the_process_has_exited_when_heliograph_stop_returns(server):
    """A script that starts the next server, or looks for the process, must not meet the old one."""
    for count in range(1, 6):
        server.write(BUSY)
        server.launch("--mules", "1")
        server.await_log("Server ready: ", count)
        assert server.command("stop").returncode == 0
        assert server.process.poll() == 0


def test_a_late_sigterm_does_not_change_the_exit_code(server):
    """The server has stopped then, and the interpreter is about to exit."""
    server.start(BUSY, "--mules", "1")
    deadline = time.monotonic() + 20
    while server.process.poll() is None and time.monotonic() < deadline:
        os.kill(server.master(), signal.SIGTERM)
        os.kill(server.master(), signal.SIGINT)
    assert server.wait() == 0
    assert "Traceback" not in server.log


def test_a_stop_is_answered_after_the_end(busy):
    """Nothing of the server is left, its name is free, and another server can take it at once."""
    server = busy()
    with ControlClient(control_socket(server.name), timeout=20) as first:
        assert first.request("stop", wait=False) == {"pid": server.master()}
        server.await_log("Stopping: finishing queued signals")
        server.release("gate")
        with ControlClient(control_socket(server.name), timeout=20) as second:
            assert second.request("state")["stopping"]
            with pytest.raises(RequestFailed, match="the server is stopping"):
                second.request("reload")
    assert server.wait() == 0


def test_the_name_is_free_when_a_stop_is_answered(server):
    """The lock of the name is released before."""
    server.start(BUSY, "--mules", "1")
    assert request(control_socket(server.name), "stop", timeout=20) == {"exit_code": 0, "ends_process": True}
    InstanceLock(server.name).release()
    assert server.wait() == 0


def test_a_stop_of_a_master_that_is_killed(busy):
    """The client sees the end of the connection at once, and says so."""
    server = busy()
    with ControlClient(control_socket(server.name), timeout=20) as client:
        before = time.monotonic()
        timer = threading.Timer(0.2, server.process.kill)
        timer.start()
        with pytest.raises(ConnectionLost, match="closed the connection"):
            client.request("stop")
        assert time.monotonic() - before < 10
        timer.join()
    server.wait()


def test_sigusr1_logs_the_state(busy):
    """Processes, signals and queued signals, as in `heliograph signals --json`."""
    server = busy()
    server.process.send_signal(signal.SIGUSR1)
    server.await_log("State: {")
    found = json.loads(re.search("State: (.*)", server.log)[1])
    assert found["processes"].keys() == {"worker1", "mule1"}
    assert found["queued"] == 200
    shown = json.loads(server.command("signals", "--json").stdout)
    row = {
        "num": 1,
        "target": "mule1",
        "handler": "tasks.work",
        "sent": 201,
        "started": 1,
        "done": 0,
        "failed": 0,
        "coalesced": 0,
    }
    row |= {"name": "", "redelivered": 0, "dropped": 0, "queued": 200}
    assert shown["signals"][0] == row == found["signals"][0]
    server.release("gate")
    assert server.end() == 0
