"""Processes that joined: the kernel reports their exit."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from heliograph.models import Identity
from heliograph.server.processes.pidfd_watcher import PidfdWatcher

WORKER = Identity("worker", 2)


@pytest.fixture
def left():
    return []


@pytest.fixture
def watcher(loop, left):
    watcher = PidfdWatcher(loop.selector, lambda process, _now: left.append(process))
    yield watcher
    watcher.close()


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def turn(loop, seconds):
    for key, _ in loop.selector.select(seconds):
        key.data(0.0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_exits_has_left(loop, watcher, left, process, number):
    """However it exits, and once. Nothing is reported while it runs."""
    assert watcher.watch(process.pid, WORKER)
    assert watcher.watch(process.pid, WORKER)
    turn(loop, 0)
    assert left == []
    process.send_signal(number)
    turn(loop, 20)
    turn(loop, 0)
    assert left == [WORKER]


def test_a_process_that_has_exited_is_not_watched(watcher, process):
    """It is reaped, and its process id is unused."""
    process.kill()
    process.wait()
    assert not watcher.watch(process.pid, WORKER)


def test_a_process_that_gives_its_place_back_has_left(loop, watcher, left, process):
    """It closes the end of the pipe that it got. Nothing is reported before, and nothing afterwards."""
    assert watcher.watch(process.pid, WORKER)
    (end,) = watcher.take_writing_end(process.pid)
    assert watcher.take_writing_end(process.pid) == ()
    turn(loop, 0)
    assert left == []
    os.close(end)
    turn(loop, 20)
    assert left == [WORKER]
    process.kill()
    turn(loop, 0)
    assert left == [WORKER]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_a_kernel_without_pidfds(loop, watcher, left, process, monkeypatch, code):
    """The end of the pipe tells that the process has exited."""

    def refuse(_pid):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert watcher.watch(process.pid, WORKER)
    (end,) = watcher.take_writing_end(process.pid)
    turn(loop, 0)
    assert left == []
    os.close(end)
    turn(loop, 20)
    assert left == [WORKER]


def test_a_process_that_cannot_be_watched(watcher, monkeypatch, caplog):
    """The log gives the reason, and the master goes on."""

    def full(_flags):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe2", full)
    assert not watcher.watch(1, WORKER)
    assert "worker2: [Errno 24] Too many open files" in caplog.text
