"""What raises signals by itself on uWSGI, without a server and without its thread. Time is told."""

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
    """A ticker whose clock and queue a test holds in its hands."""

    def __init__(self):
        self.now = ClockReading(0.0, WALL)
        self.full, self.raised = False, []
        self.scheduler = module.SchedulerThread(self.put, lambda: self.now)

    def put(self, num):
        if self.full:
            raise SignalQueueFull(num, "worker", 0.0)
        if num == 99:
            raise SignalNotRegistered(num)
        self.raised.append(num)

    def pass_time(self, seconds, step=0.125):
        """Tick by tick."""
        for _ in range(int(seconds / step)):
            self.now = ClockReading(self.now.monotonic + step, self.now.wall + step)
            self.scheduler.tick()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda _thread: None)
    server = Server()
    yield server
    if server.scheduler._watcher is not None:
        server.scheduler._watcher.close()
    os.close(server.scheduler._wake_read)
    os.close(server.scheduler._wake_write)


def timer(name="a", period=1.0, repeat=0, num=1, **facts):
    return Trigger(num, Timer(period, repeat), name, **facts)


def test_runs_that_find_no_room_are_put_off(server):
    """K2: a timer that repeats three times does so, also when its queue is full meanwhile."""
    server.scheduler.add(timer(repeat=3, coalesce=False))
    server.full = True
    server.pass_time(5)
    assert server.raised == []
    server.full = False
    server.pass_time(5)
    assert server.raised == [1, 1, 1]


def test_one_run_is_put_off_where_they_coalesce(server):
    """The others are left out; a queue that has room takes every tick."""
    server.scheduler.add(timer())
    server.full = True
    server.pass_time(5)
    server.full = False
    server.pass_time(2)
    assert server.raised == [1, 1, 1]


def test_a_change_of_a_file_that_finds_no_room_is_put_off(server, tmp_path):
    """K9: as a run of a timer is."""
    path = tmp_path / "file"
    server.scheduler.add(Trigger(7, FileMonitor(str(path), missing_ok=True), "m"))
    server.full = True
    path.touch()
    server.scheduler.tick()
    server.full = False
    server.scheduler.tick()
    assert server.raised == [7]


def test_a_removed_source_is_owed_nothing(server):
    """Nor does one of its name get its runs."""
    server.scheduler.add(timer())
    server.full = True
    server.pass_time(1)
    server.scheduler.remove("a")
    server.scheduler.add(timer(period=100.0, num=2))
    server.full = False
    server.pass_time(1)
    assert server.raised == []


def test_runs_that_wait_are_told_at_a_bounded_rate(server, caplog):
    """Once a minute, by their names."""
    server.scheduler.add(timer())
    server.full = True
    with caplog.at_level(logging.WARNING, "heliograph.uwsgi"):
        server.pass_time(90)
    assert [record.message.endswith("full queue: a") for record in caplog.records] == [True, True]


def test_a_signal_that_cannot_be_raised_is_told_and_stops_no_other(server, caplog):
    """It is not tried again: room would not help."""
    server.scheduler.add(timer("bad", num=99, repeat=1))
    server.scheduler.add(timer())
    with caplog.at_level(logging.WARNING, "heliograph.uwsgi"):
        server.pass_time(2)
    assert server.raised == [1, 1]
    assert ["99" in record.message for record in caplog.records] == [True]
