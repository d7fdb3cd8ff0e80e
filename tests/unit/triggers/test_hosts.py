"""One scripted history through all three hosts of the scheduler: the master, the thread on uWSGI, the fake clock."""

import contextlib
import importlib.util
import logging
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

import heliograph.engines
from heliograph._core.schedule.schedule import ClockReading
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import SignalQueueFull
from heliograph.models import CronRule, FileMonitor, Timer, Topology, Trigger
from heliograph.timing.clocks import FakeClock
from heliograph.triggers.scheduler import Scheduler, SchedulerHost

WALL = 1_767_225_600.0
CAPACITY = 4
FILLER = 99


def scheduler_thread_class():
    """The thread's module, without its package, which needs the real `uwsgi` module."""
    path = Path(heliograph.engines.__file__).parent / "uwsgi" / "scheduler_thread.py"
    spec = importlib.util.spec_from_file_location("scheduler_thread_as_host", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SchedulerThread


class SimulatedQueue:
    """A queue of one receiver. The receiver takes signals at once, unless it is paused."""

    def __init__(self):
        self.paused, self.queued, self.handled = False, [], []

    def send(self, num):
        if len(self.queued) >= CAPACITY:
            return False
        self.queued.append(num)
        if not self.paused:
            self.resume()
        return True

    def resume(self):
        self.paused = False
        self.handled += self.queued
        self.queued.clear()

    def pause(self):
        self.paused = True


class MasterHost:
    """The scheduler as the loop of the master drives it: wait until the deadline, then tick."""

    def __init__(self):
        self.now = ClockReading(0.0, WALL)
        self.queue = SimulatedQueue()
        self.scheduler = self.make()
        self.add, self.remove, self.change_period = (
            self.scheduler.add,
            self.scheduler.remove,
            self.scheduler.change_period,
        )
        self.pause, self.resume = self.queue.pause, self.queue.resume

    def make(self):
        host = SchedulerHost(logging.getLogger("heliograph.master"), lambda: self.now, lambda: 0.0)
        return Scheduler(self.queue.send, self.queue.queued.__contains__, host)

    def inner(self):
        return self.scheduler

    def tick(self):
        self.scheduler.tick()

    def suspend(self, seconds):
        """Let time pass without a tick."""
        self.now = ClockReading(self.now.monotonic + seconds, self.now.wall + seconds)

    def pass_time(self, seconds):
        end = self.now.monotonic + seconds
        self.tick()
        while (wait := max(self.inner().wait(), 1e-9)) <= end - self.now.monotonic:
            self.suspend(wait)
            self.tick()
        self.suspend(end - self.now.monotonic)

    def fill(self):
        while self.queue.send(FILLER):
            pass

    def change_file(self, path):
        Path(path).touch()
        self.inner().read_changes()

    def handled(self):
        return [num for num in self.queue.handled if num != FILLER]

    def close(self):
        self.inner().close()


class ThreadHost(MasterHost):
    """The scheduler in the thread of worker 1 on uWSGI. The test runs its loop instead of the thread."""

    def make(self):
        return scheduler_thread_class()(self.send, lambda: self.now)

    def send(self, num):
        if not self.queue.send(num):
            raise SignalQueueFull(num, "mule1", 0.0)

    def inner(self):
        return self.scheduler._scheduler

    def close(self):
        super().close()
        os.close(self.scheduler._wake_read)
        os.close(self.scheduler._wake_write)


class InlineHost:
    """The scheduler of the inline engine, which a fake clock drives."""

    def __init__(self):
        self.clock = FakeClock(WALL)
        self.engine = InlineEngine(Topology(mules=1), clock=self.clock, capacity=CAPACITY)
        self.add, self.remove = self.engine.add_trigger, self.engine.remove_trigger
        self.change_period, self.pass_time = self.engine.change_period, self.clock.sleep
        self.change_file = self.engine.changed
        self.paused = ExitStack()
        for num in (1, 2, 3, 7, FILLER):
            self.engine.register_signal(num, "mule1", lambda _num: None)

    def inner(self):
        return self.engine._scheduler

    def suspend(self, seconds):
        self.clock._elapsed += seconds

    def pause(self):
        self.paused.enter_context(self.engine.paused())

    def resume(self):
        self.paused.close()

    def fill(self):
        with contextlib.suppress(SignalQueueFull):
            while True:
                self.engine.signal(FILLER, 0.0)

    def handled(self):
        return [run.num for run in self.engine.handled if run.num != FILLER]

    def close(self):
        self.inner().close()


@pytest.fixture(params=[MasterHost, ThreadHost, InlineHost])
def host(request, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda _thread: None)
    host = request.param()
    yield host
    host.close()


def timer(name, num, period=1.0, repeat=0, **facts):
    return Trigger(num, Timer(period, repeat), name, **facts)


def counts(host):
    return {row["name"]: (row["fired"], row["missed"]) for row in host.inner().rows()}


@pytest.mark.parametrize("host", [MasterHost, ThreadHost], indirect=True)
def test_a_file_settles_on_hosts_that_watch(host, tmp_path):
    """Each host waits until the path is quiet, without an event to wake it, and counts one run."""
    host.add(Trigger(7, FileMonitor(str(tmp_path / "file"), missing_ok=True, settle=0.5), "file"))
    for _ in range(3):
        host.change_file(str(tmp_path / "file"))
        host.pass_time(0.25)
    assert (host.handled(), counts(host)) == ([], {"file": (0, 0)})
    host.pass_time(0.5)
    assert (host.handled(), counts(host)) == ([7], {"file": (1, 0)})
    host.pass_time(100)
    assert host.handled() == [7]


def test_history_is_the_same_on_every_host(host, tmp_path):
    """Fixed rate, full queues, late ticks, cron rules, file monitors, changed and removed timers."""
    for trigger in (
        timer("coalescing", 1),
        timer("all", 2, coalesce=False),
        Trigger(3, CronRule("*", "*", "*", "*", "*", "UTC"), "cron"),
        Trigger(7, FileMonitor(str(tmp_path / "file"), missing_ok=True, settle=0.0), "file"),
    ):
        host.add(trigger)
    host.pass_time(3)
    assert counts(host) == {"coalescing": (3, 0), "all": (3, 0), "cron": (0, 0), "file": (0, 0)}

    host.pause()
    host.fill()
    host.pass_time(5)
    host.change_file(str(tmp_path / "file"))
    assert counts(host) == {"coalescing": (4, 4), "all": (8, 0), "cron": (0, 0), "file": (1, 0)}
    assert sorted(host.inner().deferred) == ["all", "coalescing", "file"]
    before = len(host.handled())
    host.resume()
    host.pass_time(0.5)
    assert sorted(host.handled()[before:]) == [1, 2, 2, 2, 2, 2, 7]
    assert host.inner().deferred == ()

    host.suspend(4.5)
    host.pass_time(0)
    assert counts(host) == {"coalescing": (5, 8), "all": (13, 0), "cron": (0, 0), "file": (1, 0)}

    host.change_period("coalescing", 10.0)
    host.remove("all")
    host.pass_time(48)
    assert counts(host) == {"coalescing": (9, 8), "cron": (1, 0), "file": (1, 0)}
    host.suspend(600)
    host.pass_time(0)
    assert counts(host) == {"coalescing": (10, 67), "cron": (2, 9), "file": (1, 0)}


def test_repeating_timer_catches_up_on_every_host(host):
    """A timer that repeats three times runs three times, even if its queue is full in the meantime."""
    host.add(timer("thrice", 1, repeat=3, coalesce=False))
    host.pause()
    host.fill()
    host.pass_time(5)
    assert host.handled() == []
    host.resume()
    host.pass_time(5)
    assert host.handled() == [1, 1, 1]
    assert counts(host) == {"thrice": (3, 0)}


def test_misfire_grace_holds_on_every_host(host):
    """A run that is later than `misfire_grace` is missed."""
    host.add(timer("a", 1, 10.0, misfire_grace=1.0))
    host.suspend(15.0)
    host.pass_time(0)
    assert counts(host) == {"a": (0, 1)}
    host.pass_time(5)
    assert counts(host) == {"a": (1, 1)}


def test_runs_coalesce_while_one_is_queued(host):
    """Exception: on uWSGI runs only coalesce at a full queue, since uWSGI does not report which signals are queued."""
    host.add(timer("a", 1))
    host.pause()
    host.pass_time(3)
    assert counts(host) == {"a": (3, 0) if isinstance(host, ThreadHost) else (1, 2)}
    host.resume()
    host.pass_time(1)
    assert counts(host) == {"a": (4, 0) if isinstance(host, ThreadHost) else (2, 2)}
