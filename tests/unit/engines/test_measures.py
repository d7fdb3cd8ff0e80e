"""Measuring handlers and waits in the process that runs them."""

import time
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.records import DONE, IN_FLIGHT_BYTES, RECORD_BYTES, Record, encode
from heliograph._core.stats.counters import SLOT_BYTES, Counters
from heliograph._core.stats.durations import DURATION_BYTES, Durations
from heliograph.engines.local import measures
from heliograph.engines.local.measures import Measures

MICROSECOND = 1000


class Process:
    """A process whose handlers take as long as the test says. The receiver calls `Measures` in the same way."""

    def __init__(self, monkeypatch):
        self.now = time.monotonic_ns()
        monkeypatch.setattr(measures, "monotonic_ns", lambda: self.now)
        self.in_flight = memoryview(bytearray(IN_FLIGHT_BYTES))
        self.slot = Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
        self.measures = Measures(self.in_flight, self.slot)
        self.all = Durations(memoryview(bytearray(DURATION_BYTES)), 1)
        self.measures.durations = self.all.of_process(0)
        self.is_fast = False

    def receive(self, nums, each, waited=None):
        """Run handlers of these signals, which were fetched together."""
        sent = 0 if waited is None else self.now - waited
        data = b"".join(encode(Record(num, 0, state=DONE, time=sent)) for num in nums)
        self.in_flight[: len(nums) * RECORD_BYTES] = data
        if self.is_fast:
            began = self.now
            for num in nums:
                self.run(num, each)
            if len(nums) != 1 or not self.measures.skip(0, began):
                self.is_fast = self.measures.count_batch(0, len(nums), began)
            return
        for num in nums:
            began = self.now
            self.run(num, each)
            self.is_fast = self.measures.count(num, sent, began)

    def run(self, num, each):
        self.slot.started[num] += 1
        self.now += each

    def totals(self):
        """Return the figures, with all that was only collected or skipped."""
        self.now += 2_000_000
        self.measures.flush()
        self.receive([255], 30 * MICROSECOND)
        return self.all.totals([self.slot.started.tolist()])


@pytest.fixture
def process(monkeypatch):
    return Process(monkeypatch)


batches = st.lists(
    st.tuples(
        st.lists(st.integers(1, 3), min_size=1, max_size=64) | st.integers(1, 64).map(lambda count: [1] * count),
        st.sampled_from([1, 5, 19, 25, 3000]).map(lambda value: value * MICROSECOND),
        st.sampled_from([0, 5, 100, 5000]).map(lambda value: value * MICROSECOND),
        st.sampled_from([None, 0, 7 * MICROSECOND, 10**9]),
    ),
    max_size=12,
)


@given(received=batches)
def test_every_handler_is_counted_once(received):
    """However they are measured: each, in batches, or by samples."""
    with pytest.MonkeyPatch.context() as patch:
        process = Process(patch)
        for nums, each, pause, waited in received:
            process.now += pause
            process.receive(nums, each, waited)
        totals = process.totals()
        for num in (1, 2, 3):
            started = process.slot.started[num]
            assert totals.ran(num).count == started
            assert totals.waited(num).count <= started


@given(received=st.lists(st.tuples(st.integers(16, 64), st.integers(1, 19)), min_size=1, max_size=30))
def test_the_time_of_batches_is_that_of_their_handlers(received):
    with pytest.MonkeyPatch.context() as patch:
        process = Process(patch)
        for count, each in received:
            process.receive([1] * count, each * MICROSECOND)
        expected = sum(count * each for count, each in received) * MICROSECOND
        assert process.totals().ran(1).nanoseconds == pytest.approx(expected, rel=0.01)


def test_a_slow_handler_is_counted_by_itself(process):
    """Also after many fast ones, and the process is not fast any more."""
    process.receive([1] * 64, 2 * MICROSECOND)
    assert process.is_fast
    process.receive([2], 10**9)
    assert not process.is_fast
    histogram = process.totals().ran(2)
    assert (histogram.count, histogram.nanoseconds) == (1, 10**9)


def test_waits_of_signals_with_a_time_are_exact(process):
    for waited in accumulate([50 * MICROSECOND] * 5):
        process.receive([1], 30 * MICROSECOND, waited)
    histogram = process.totals().waited(1)
    assert (histogram.count, histogram.nanoseconds) == (5, 15 * 50 * MICROSECOND)


def test_an_idle_process_takes_as_long_as_when_it_was_measured_last(process):
    process.now += 10**9
    process.receive([1], 30 * MICROSECOND, 8 * MICROSECOND)
    for _ in range(3):
        process.now += 10**9
        process.receive([1], 30 * MICROSECOND)
    histogram = process.totals().waited(1)
    assert (histogram.count, histogram.nanoseconds) == (4, 4 * 8 * MICROSECOND)


def test_a_measured_wait_stands_for_those_that_are_not_known(process):
    """The signals before it that came while the process was busy."""
    process.receive([1], 30 * MICROSECOND, 10**9)
    for _ in range(9):
        process.receive([1], 30 * MICROSECOND)
    assert process.all.totals([process.slot.started.tolist()]).waited(1).count == 1
    process.receive([1], 30 * MICROSECOND, 2 * 10**9)
    histogram = process.totals().waited(1)
    assert (histogram.count, histogram.nanoseconds) == (11, 10**9 + 10 * 2 * 10**9)
