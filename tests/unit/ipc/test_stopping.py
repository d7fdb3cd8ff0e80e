"""`stop_and_wait` returns when the process of the master has exited."""

import os
import subprocess
import sys
import threading
import time

import pytest

from heliograph.ipc import stopping
from heliograph.ipc.control_client import ControlClient, RequestTimeout
from heliograph.ipc.stopping import stop_and_wait
from heliograph.testing.harness.harness import TIMEOUT

MASTER = """
import socket, sys
from heliograph.ipc.control import encode_result
result = {"exit_code": 0, "ends_process": True} if sys.argv[2] == "ends" else {"exit_code": 0}
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listening", flush=True)
    peer, _ = listener.accept()
    peer.recv(1000)
    peer.sendall(encode_result(1, result))
    peer.close()
print("answered", flush=True)
sys.stdin.read()
"""
"""A master that answers, and lives until its standard input ends."""


@pytest.fixture
def master(directory):
    """Start a master with a socket. It exits with the test at the latest."""
    started = []

    def start(kind):
        path = directory / "control.sock"
        command = [sys.executable, "-c", MASTER, str(path), kind]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert started[0].stdout.readline() == b"listening\n"
        return started[0], path

    yield start
    for process in started:
        process.communicate(timeout=TIMEOUT)


def test_it_waits_for_the_exit(master):
    """Not only for the answer."""
    process, path = master("ends")
    codes = []

    def stop():
        stop_and_wait(path, TIMEOUT)
        codes.append(process.poll())

    thread = threading.Thread(target=stop)
    thread.start()
    assert process.stdout.readline() == b"answered\n"
    thread.join(0.2)
    assert codes == []
    process.stdin.close()
    thread.join(TIMEOUT)
    assert codes == [0]
    process.stdin = None


def test_a_program_that_goes_on_is_not_awaited(master):
    """`serve()` returns there."""
    process, path = master("goes on")
    stop_and_wait(path, TIMEOUT)
    assert process.poll() is None


def test_a_process_that_does_not_exit_is_a_timeout(master):
    process, path = master("ends")
    with pytest.raises(RequestTimeout, match=f"has stopped, but its process {process.pid} has not"):
        stop_and_wait(path, 3)
    assert process.poll() is None


def test_without_a_pidfd_the_answer_must_do(master, monkeypatch, descriptors):
    """A sandbox may refuse it, and a container cannot see the master's process."""
    process, path = master("ends")
    before = descriptors()

    def refuse(_pid):
        raise PermissionError

    monkeypatch.setattr(stopping.os, "pidfd_open", refuse)
    stop_and_wait(path, TIMEOUT)
    assert process.poll() is None
    assert descriptors() == before


def test_a_process_that_no_pid_names_is_not_awaited():
    with stopping._pidfd(0) as none:
        assert none is None
    with stopping._pidfd(os.getpid()) as own:
        assert not stopping._has_exited(own, time.monotonic())


def test_the_client_knows_the_process_of_the_master(master):
    process, path = master("ends")
    with ControlClient(path) as client:
        assert client.server_pid == process.pid
