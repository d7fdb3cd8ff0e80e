"""Processes that joined: the kernel tells when they end."""

import os
import signal
import subprocess
import sys

import pytest

from heliograph.models import Identity
from heliograph.server.processes.pidfd_watcher import PidfdWatcher

WHO = Identity("worker", 2)


@pytest.fixture
def left():
    return []


@pytest.fixture
def door(loop, left):
    door = PidfdWatcher(loop.selector, lambda who, _now: left.append(who))
    yield door
    door.close()


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def turn(loop, seconds):
    for key, _ in loop.selector.select(seconds):
        key.data(0.0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_ends_has_left(loop, door, left, process, number):
    """However it does, and once; while it lives nothing is heard."""
    assert door.watch(process.pid, WHO)
    assert door.watch(process.pid, WHO)
    turn(loop, 0)
    assert left == []
    process.send_signal(number)
    turn(loop, 20)
    turn(loop, 0)
    assert left == [WHO]


def test_who_has_ended_already_is_not_let_in(door, process):
    """It is reaped, and its number nobody's."""
    process.kill()
    process.wait()
    assert not door.watch(process.pid, WHO)


def test_who_cannot_be_watched_is_not_let_in(door, monkeypatch, caplog):
    """The reason goes to the log, and the master goes on."""

    def full(_pid):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", full)
    assert not door.watch(1, WHO)
    assert "worker2: [Errno 24] Too many open files" in caplog.text
