"""The scheduler on the master's loop: it sends what is due, until the server stops."""

import json
import os
import time

import pytest

from heliograph._core.signals.wakeups import WAKEUP_BYTES, WakeupWords
from heliograph._core.supervision.events import Exited, StopRequested
from heliograph.ipc.doorbell import Ring
from heliograph.loop import NEVER, Loop, Service
from heliograph.models import Identity, Timer, Trigger
from heliograph.server.services.reports import Reports
from heliograph.server.services.scheduler import SchedulerService
from heliograph.triggers.last_runs import LastRunStore


class Queues:
    """Queues that take everything."""

    def __init__(self):
        self.sent = []
        self.wakeups = WakeupWords(memoryview(bytearray(WAKEUP_BYTES)))

    def send(self, num):
        self.sent.append(num)
        return True

    def is_queued(self, _num):
        return False

    def has_receivers(self, _num):
        return True

    def find_wakeup(self, target):
        return {"spooler": 255, "mule": 254}.get(target)

    def wakeup_numbers(self):
        return 254, 255


class Supervisor:
    stopping = False


class Alarm(Service):
    """Keeps a loop that has nothing to do from waiting forever."""

    @property
    def deadline(self):
        return time.monotonic() + 0.05


@pytest.fixture
def queues():
    return Queues()


@pytest.fixture
def supervisor():
    return Supervisor()


@pytest.fixture
def loop():
    with Loop() as loop:
        yield loop


@pytest.fixture
def scheduler(loop, directory, queues, supervisor):
    store = LastRunStore(directory / "last-runs.json")
    return loop.open("scheduler", lambda selector: SchedulerService(selector, queues, store, supervisor))


def run_until(loop, happened):
    loop.open("alarm", lambda _: Alarm())
    until = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < until
        loop.run_once()


def test_timers_are_sent_until_the_server_stops(loop, scheduler, queues, supervisor):
    """The loop waits for them. A stop ends that at once, also for a run that is due."""
    scheduler.replace_all([Trigger(7, Timer(0.01), "often")])
    assert scheduler.numbers == {"often": 7}
    run_until(loop, lambda: len(queues.sent) >= 3)
    supervisor.stopping = True
    assert scheduler.deadline == NEVER
    count = len(queues.sent)
    time.sleep(0.03)
    scheduler.tick(time.monotonic())
    assert len(queues.sent) == count


def test_reports_change_and_remove_triggers(loop, scheduler, queues):
    """As processes write them. The numbers are kept, since processes that join later have the same code."""
    reports = loop.open("reports", Reports)
    scheduler.listen_to(reports)
    scheduler.replace_all([Trigger(7, Timer(3600.0), "rare"), Trigger(8, Timer(0.01), "often")])
    os.write(reports.write_fd, b'{"generation": 1, "trigger": "rare", "period": 0.02}\n')
    os.write(reports.write_fd, b'{"generation": 1, "trigger": "often"}\n')
    run_until(loop, lambda: queues.sent.count(7) >= 2)
    assert [(row["name"], row["trigger"]) for row in scheduler.rows()] == [("rare", "every 0.02 s")]
    assert scheduler.numbers == {"rare": 7, "often": 8}


def report(reports, **facts):
    os.write(reports.write_fd, json.dumps({"generation": 1, **facts}).encode() + b"\n")


def test_processes_ask_for_wakeups(loop, scheduler, queues):
    """Now, since a queue is full, or at a time. The word in shared memory says when, until it is sent."""
    reports = loop.open("reports", Reports)
    scheduler.listen_to(reports)
    words, far = queues.wakeups.deadlines, int((time.time() + 3600) * 1e6)
    report(reports, wake=255, at=far)
    report(reports, wake=254)
    run_until(loop, lambda: queues.sent)
    assert queues.sent == [254]
    assert (words[255], words[254]) == (far, 0)
    report(reports, wake=255, at=int((time.time() + 0.05) * 1e6))
    run_until(loop, lambda: 255 in queues.sent)
    assert words[255] == 0
    assert scheduler.rows() == []


def test_the_word_is_cleared_before_the_wakeup_is_sent(scheduler, queues):
    """A process that still reads it relies on the wake-up."""
    seen = []
    queues.send = lambda num: seen.append(queues.wakeups.deadlines[num]) or True
    scheduler.wake(Ring("mule"))
    assert queues.wakeups.deadlines[254]
    scheduler.tick(time.monotonic())
    assert seen == [0]


def test_a_ring_wakes_its_target(loop, scheduler, queues):
    scheduler.wake(Ring("spooler"))
    run_until(loop, lambda: queues.sent)
    assert queues.sent == [255]


def test_a_ring_for_an_unknown_target_wakes_all(loop, scheduler, queues):
    """The processes of one of them look after its tasks."""
    scheduler.wake(Ring("mule9"))
    run_until(loop, lambda: len(queues.sent) == 2)
    assert sorted(queues.sent) == [254, 255]


@pytest.mark.parametrize(
    ("expected", "stopping", "woken"), [(False, False, [254, 255]), (True, False, []), (False, True, [])]
)
def test_all_targets_are_woken_when_a_process_was_killed(scheduler, queues, supervisor, expected, stopping, woken):
    """It may have stored a task and not woken anybody."""
    supervisor.stopping = stopping
    scheduler.on_event(Exited(Identity("worker", 1), "killed by signal 9", expected=expected))
    scheduler.on_event(StopRequested())
    scheduler.tick(time.monotonic())
    assert sorted(queues.sent) == woken


def test_all_targets_are_woken_when_the_clock_was_set(scheduler, queues, monkeypatch):
    """Their tasks may be due now, or be due later than the store believes."""
    scheduler.wake(Ring("mule", time.time() + 3600))
    monkeypatch.setattr(scheduler._scheduler, "read_clock", lambda: True)
    scheduler._read_clock(time.monotonic())
    assert sorted(queues.sent) == [254, 255]


def test_an_idle_server_with_a_wakeup_hours_away_waits_for_it(loop, scheduler):
    """It does not look at the clock in between."""
    scheduler.wake(Ring("mule", time.time() + 7200))
    assert scheduler.deadline > time.monotonic() + 7100
