"""The scheduler on the master's loop: it sends what is due, until the server stops."""

import os
import time

import pytest

from heliograph._core.signals.wakeups import WAKEUP_BYTES, WakeupWords
from heliograph.loop import NEVER, Loop, Service
from heliograph.models import Timer, Trigger
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
