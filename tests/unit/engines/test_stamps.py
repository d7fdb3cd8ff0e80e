"""Signals that carry the time at which they were sent."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.records import Record, decode, encode
from heliograph.engines.local import stamps
from heliograph.engines.local.stamps import Stamps

ONE, TWO = (5, encode(Record(7, 1))), (6, encode(Record(7, 2)))
MILLISECOND = 1_000_000


class Sender:
    """Sends as the engine does."""

    def __init__(self, *deliveries):
        self.stamps = Stamps()
        self.stamps.prepare(7, deliveries or [ONE])

    def send(self):
        """Return the deliveries of one signal."""
        delivery = self.stamps.direct[7]
        return self.stamps.take(7) if delivery is None else [delivery]


@pytest.fixture
def clock(monkeypatch):
    now = [time.monotonic_ns()]
    monkeypatch.setattr(stamps, "monotonic_ns", lambda: now[0])
    return now


def times(sender, clock, count, pause):
    found = []
    for _ in range(count):
        clock[0] += pause
        found += [decode(record).time for _, record in sender.send()]
    return found


def test_each_signal_that_is_sent_seldom_has_its_time(clock):
    """Also the first one, and with several receivers."""
    start = clock[0]
    pause = 2 * MILLISECOND
    assert times(Sender(), clock, 5, pause) == [start + n * pause for n in range(1, 6)]
    start = clock[0]
    both = times(Sender(ONE, TWO), clock, 3, pause)
    assert both == [start + n * pause for n in (1, 1, 2, 2, 3, 3)]


def test_no_signal_of_a_burst_has_it_after_the_first_ones(clock):
    """So a send does not have to read a clock. With several receivers, every 256th signal has the time."""
    found = times(Sender(), clock, 1000, 1000)
    assert [number for number, at in enumerate(found) if at] == list(range(65))
    several = times(Sender(ONE, TWO), clock, 1000, 1000)[::2]
    assert [number for number, at in enumerate(several) if at] == [*range(65), 256, 512, 768]


def test_a_burst_ends_with_a_pause(clock):
    """A few signals at a time, now and then, all have their times."""
    sender = Sender()
    for _ in range(20):
        assert all(times(sender, clock, 60, 1000))
        clock[0] += 2 * MILLISECOND


@pytest.mark.parametrize("deliveries", [[ONE], [ONE, TWO]])
def test_after_a_burst_each_has_it_again(clock, deliveries):
    """As soon as the process has something else to do with signals, or else every 256th."""
    sender = Sender(*deliveries)
    times(sender, clock, 300, 1000)
    sender.stamps.restart()
    found = times(sender, clock, 600, 10 * MILLISECOND)
    assert all(found if len(deliveries) == 1 else found[-2:])


@given(pauses=st.lists(st.integers(0, 5 * MILLISECOND), max_size=300), is_broadcast=st.booleans())
def test_every_signal_goes_to_its_receivers(pauses, is_broadcast):
    """With or without a time, the rest of the record is the same."""
    sender = Sender(*([ONE, TWO] if is_broadcast else [ONE]))
    for _ in pauses:
        found = sender.send()
        assert [fd for fd, _ in found] == ([5, 6] if is_broadcast else [5])
        assert [decode(record)._replace(time=0) for _, record in found] == [
            Record(7, 1),
            *([Record(7, 2)] if is_broadcast else []),
        ]


def test_a_number_that_was_not_prepared_has_no_deliveries():
    assert (Stamps().take(8), Stamps().direct[8]) == (None, None)
