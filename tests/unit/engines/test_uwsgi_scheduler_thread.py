"""The scheduler thread on uWSGI, without a server and without its thread. Time is simulated."""

import importlib.util
import logging
import os
import threading
from pathlib import Path

import pytest

import heliograph.engines
from heliograph._core.schedule.schedule import ClockReading
from heliograph.exceptions import SignalNotRegistered, SignalQueueFull
from heliograph.models import FileMonitor, Timer, Trigger

_PATH = Path(heliograph.engines.__file__).parent / "uwsgi" / "scheduler_thread.py"
_SPEC = importlib.util.spec_from_file_location("uwsgi_scheduler_thread_under_test", _PATH)
assert _SPEC is not None
module = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(module)

WALL = 1_767_225_600.0


class Server:
    """A scheduler thread with a clock and a queue that the test controls."""

    def __init__(self):
        self.now = ClockReading(0.0, WALL)
        self.full, self.sent = False, []
        self.scheduler = module.SchedulerThread(self.send, lambda: self.now)

    def send(self, num):
        if self.full:
            raise SignalQueueFull(num, "worker", 0.0)
        if num == 99:
            raise SignalNotRegistered(num)
        self.sent.append(num)

    def pass_time(self, seconds, step=0.125):
        """Tick once per step."""
        for _ in range(int(seconds / step)):
            self.now = ClockReading(self.now.monotonic + step, self.now.wall + step)
            self.scheduler.tick()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda _thread: None)
    server = Server()
    yield server
    server.scheduler._scheduler.close()
    os.close(server.scheduler._wake_read)
    os.close(server.scheduler._wake_write)


def timer(name="a", period=1.0, repeat=0, num=1, **facts):
    return Trigger(num, Timer(period, repeat), name, **facts)


def test_runs_that_find_a_full_queue_are_deferred(server):
    """A timer that repeats three times runs three times, even if its queue is full in the meantime."""
    server.scheduler.add(timer(repeat=3, coalesce=False))
    server.full = True
    server.pass_time(5)
    assert server.sent == []
    server.full = False
    server.pass_time(5)
    assert server.sent == [1, 1, 1]


def test_one_run_is_deferred_if_runs_coalesce(server):
    """The others are missed. A queue with space takes every run."""
    server.scheduler.add(timer())
    server.full = True
    server.pass_time(5)
    server.full = False
    server.pass_time(2)
    assert server.sent == [1, 1, 1]


def test_file_change_that_finds_a_full_queue_is_deferred(server, tmp_path):
    """File monitors follow the same rule as timers."""
    path = tmp_path / "file"
    server.scheduler.add(Trigger(7, FileMonitor(str(path), missing_ok=True, settle=0.0), "m"))
    server.full = True
    path.touch()
    server.scheduler.tick()
    server.full = False
    server.scheduler.tick()
    assert server.sent == [7]


def test_path_may_be_missing_when_worker_1_restarts(server, tmp_path, caplog):
    """It was there when the application registered the monitor, and it may come back."""
    path = tmp_path / "file"
    server.scheduler.add(Trigger(7, FileMonitor(str(path), settle=0.0), "m"))
    assert caplog.records == []
    path.touch()
    server.scheduler.tick()
    assert server.sent == [7]


def test_removed_trigger_loses_its_deferred_runs(server):
    """A new trigger of the same name starts without deferred runs."""
    server.scheduler.add(timer())
    server.full = True
    server.pass_time(1)
    server.scheduler.remove("a")
    server.scheduler.add(timer(period=100.0, num=2))
    server.full = False
    server.pass_time(1)
    assert server.sent == []


def test_deferred_runs_are_logged_once_a_minute(server, caplog):
    """The line names the triggers."""
    server.scheduler.add(timer())
    server.full = True
    with caplog.at_level(logging.WARNING, "heliograph.uwsgi"):
        server.pass_time(90)
    assert [record.message for record in caplog.records] == ["Deferred runs until a full queue has space: a"] * 2


def test_signal_that_cannot_be_sent_is_logged(server, caplog):
    """The run is not tried again, and the other triggers run."""
    server.scheduler.add(timer("bad", num=99, repeat=1))
    server.scheduler.add(timer())
    with caplog.at_level(logging.WARNING, "heliograph.uwsgi"):
        server.pass_time(2)
    assert server.sent == [1, 1]
    assert [record.message.startswith("Missed a run: signal 99 ") for record in caplog.records] == [True]


def test_thread_sleeps_no_longer_than_poll_allows(server, monkeypatch):
    """A timer of 30 days does not overflow the milliseconds of `poll`."""
    timeouts = []

    class Poll:
        def register(self, fd, events):
            pass

        def poll(self, timeout):
            timeouts.append(timeout)
            return [(0, 0)]

    monkeypatch.setattr(module.select, "poll", Poll)
    server.scheduler._sleep()
    server.scheduler.add(timer(period=30 * 86400.0))
    server.scheduler._sleep()
    server.scheduler.add(timer("soon", period=1.0))
    server.scheduler._sleep()
    assert timeouts == [3_600_000, 2000, 1000]
