"""While the server drains its queues, and only then, the master looks whether they are empty."""

import pytest

from heliograph._core.supervision.events import Idle
from heliograph.loop import NEVER
from heliograph.models import Identity
from heliograph.server.services.idle_poll import IDLE_POLL_INTERVAL, IdlePoll

VACANT = frozenset({Identity("worker", 1)})


class Dispatcher:
    """A dispatcher that records its events. It is its own supervisor."""

    def __init__(self):
        self.supervisor = self
        self.draining_queues = False
        self.vacant_workers = VACANT
        self.handled = []

    def handle(self, event, now):
        self.handled.append((event, now))


@pytest.fixture
def dispatcher():
    return Dispatcher()


def test_it_waits_for_nothing_while_the_server_runs(dispatcher):
    """An idle server does not wake up."""
    assert IdlePoll(dispatcher, lambda _: True).deadline == NEVER


def test_it_looks_at_once_and_then_at_intervals(dispatcher):
    """It asks for all queues but those of vacant workers, and sends an event when they are empty."""
    asked, idle = [], [False, True]

    def is_idle(without):
        asked.append(without)
        return idle.pop(0)

    poll = IdlePoll(dispatcher, is_idle)
    dispatcher.draining_queues = True
    assert poll.deadline < 0
    poll.tick(5.0)
    assert (dispatcher.handled, poll.deadline) == ([], 5.0 + IDLE_POLL_INTERVAL)
    poll.tick(5.02)
    assert dispatcher.handled == [(Idle(), 5.02)]
    assert asked == [VACANT, VACANT]
    dispatcher.draining_queues = False
    assert poll.deadline == NEVER
