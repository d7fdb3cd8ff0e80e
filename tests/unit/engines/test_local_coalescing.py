"""`CoalescingReceiver`: one run for all queued signals of a number."""

from __future__ import annotations

import os
import time

import pytest

from heliograph._core.signals.records import (
    DONE,
    FETCHED,
    IN_FLIGHT_BYTES,
    PREFETCH,
    RECORD_BYTES,
    Record,
    encode,
    unfinished,
)
from heliograph._core.stats.counters import SLOT_BYTES, Counters
from heliograph.engines.local.coalescing import MIN_INTERVAL, CoalescedSignals
from heliograph.engines.local.receiver import Receiver
from heliograph.engines.local.thread_receiver import ThreadReceiver
from heliograph.models import SIGNALS, Identity

CHANGED, ALSO_CHANGED, OTHER = 1, 2, 3
OWN, POOL = 0, 1


class Process:
    """A receiver of this process, with a queue of its own and one of a pool."""

    def __init__(self, receiver_class=Receiver, in_flight=None, max_signals=0):
        self.own, self.pool = os.pipe2(os.O_NONBLOCK), os.pipe2(os.O_NONBLOCK)
        self.in_flight = memoryview(bytearray(IN_FLIGHT_BYTES)) if in_flight is None else in_flight
        self.flags = memoryview(bytearray(SIGNALS))
        self.slot = Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
        self.runs = []
        self.hook = lambda: None
        self.signals = CoalescedSignals(lambda _: self.flags)
        for num in (CHANGED, ALSO_CHANGED):
            self.signals.register(num, coalesce=True)
        self.receiver = self.signals.receiver_class(receiver_class, Identity("mule", 1), frozenset({POOL}))(
            own=[self.own[0]],
            shared=[self.pool[0]],
            in_flight=self.in_flight,
            slot=self.slot,
            handlers=dict.fromkeys((CHANGED, ALSO_CHANGED, OTHER), (self._handle, 0.0)),
            max_signals=max_signals,
        )

    def _handle(self, num):
        self.runs.append(num)
        self.hook()

    def queue(self, *nums, queue=OWN):
        for num in nums:
            os.write((self.own, self.pool)[queue][1], encode(Record(num, queue)))

    def ran_just_now(self):
        """Let the interval begin at a time that no test reaches."""
        self.receiver._started_at[CHANGED] = time.monotonic() + 3600

    def run_until(self, condition):
        """Receive until the condition is true after a run."""

        def check():
            if condition():
                self.receiver.drain()

        self.hook = check
        self.receiver._take_signals()

    def close(self):
        for fd in (*self.own, *self.pool):
            os.close(fd)


@pytest.fixture
def process():
    """A process whose queues are closed afterwards."""
    process = Process()
    yield process
    process.close()


def test_it_runs_once_for_more_signals_than_the_buffer_holds(process):
    """The others are counted as coalesced, and nothing stays in flight."""
    process.queue(*[CHANGED] * (3 * PREFETCH))
    process.run_until(lambda: True)
    assert process.runs == [CHANGED]
    assert process.slot.started[CHANGED] == process.slot.done[CHANGED] == 1
    assert process.slot.coalesced[CHANGED] == 3 * PREFETCH - 1
    assert not list(unfinished(process.in_flight))


def test_other_signals_run_each_and_in_their_order(process):
    """A run comes before a signal that was sent later, and includes what is fetched behind that one."""
    process.queue(OTHER, CHANGED, CHANGED, OTHER, CHANGED, OTHER)
    process.run_until(lambda: len(process.runs) == 4)
    assert process.runs == [OTHER, CHANGED, OTHER, OTHER]
    assert process.slot.coalesced[CHANGED] == 2


def test_numbers_are_independent(process):
    """Each runs once, in the order of their first signals."""
    process.queue(*[ALSO_CHANGED, CHANGED] * PREFETCH)
    process.run_until(lambda: len(process.runs) == 2)
    assert process.runs == [ALSO_CHANGED, CHANGED]
    assert process.slot.coalesced[CHANGED] == process.slot.coalesced[ALSO_CHANGED] == PREFETCH - 1


@pytest.mark.parametrize("receiver_class", [Receiver, ThreadReceiver])
def test_a_signal_soon_after_a_run_waits_in_the_buffer(receiver_class):
    """It stays fetched, the flag tells senders, and the next run starts after the interval."""
    process, started = Process(receiver_class), []

    def look():
        started.append(time.monotonic())
        assert not process.flags[CHANGED]  # a signal that is sent now needs a run of its own
        if len(started) == 1:
            process.queue(CHANGED)

    process.hook = look
    process.queue(CHANGED)
    for _ in range(3):  # park, run, park
        process.receiver._run_once(-1)
    assert process.runs == [CHANGED]
    assert process.flags[CHANGED]
    assert [record.state for _, record in unfinished(process.in_flight)] == [FETCHED]
    while len(started) < 2:
        process.receiver._run_once(-1)
    assert started[1] - started[0] >= MIN_INTERVAL
    process.close()


def test_another_signal_does_not_wait_for_the_interval(process):
    """It runs at once, before the parked one."""
    process.ran_just_now()
    process.queue(CHANGED, OTHER)
    process.receiver._run_once(-1)
    assert process.runs == [OTHER]
    assert process.flags[CHANGED]


def test_a_signal_of_a_pool_does_not_wait_for_another_handler(process):
    """Another process could have taken it, so it runs before the handler, without the interval."""
    process.ran_just_now()
    process.queue(CHANGED, OTHER, queue=POOL)
    process.run_until(lambda: len(process.runs) == 2)
    assert process.runs == [CHANGED, OTHER]


def test_a_process_that_drains_runs_what_it_has_parked(process):
    """So a stop of the server loses nothing."""
    process.ran_just_now()
    process.hook = process.receiver.drain
    process.queue(CHANGED, OTHER)
    process.receiver._take_signals()
    assert process.runs == [OTHER, CHANGED]
    assert not process.flags[CHANGED]
    assert not list(unfinished(process.in_flight))


def test_what_a_killed_process_had_parked_is_run_once_by_its_successor():
    """A record that was being moved is there twice. The number of attempts stays."""
    in_flight = memoryview(bytearray(IN_FLIGHT_BYTES))
    for place, attempts in ((2, 0), (5, 2)):
        in_flight[place * RECORD_BYTES : (place + 1) * RECORD_BYTES] = encode(Record(CHANGED, OWN, attempts))
    process = Process(in_flight=in_flight)
    process.flags[ALSO_CHANGED] = 1  # left by the predecessor
    found = []
    process.hook = lambda: found.extend(unfinished(in_flight)) or process.receiver.drain()
    process.receiver._take_signals()
    assert process.runs == [CHANGED]
    assert [record.attempts for _, record in found] == [2]
    assert not any(process.flags)
    process.close()


def test_parked_records_leave_the_buffer_to_others(process):
    """A record at the end of the buffer moves to its beginning."""
    process.ran_just_now()
    process.queue(*[OTHER] * (PREFETCH - 1), CHANGED)
    process.receiver._run_once(-1)
    assert [offset for offset, _ in unfinished(process.in_flight)] == [0]
    assert process.receiver._end == 1
    process.queue(*[OTHER] * PREFETCH)
    process.receiver._run_once(0)
    assert process.runs.count(OTHER) == 2 * PREFETCH - 2
    assert process.in_flight[0] != DONE


def test_the_buffer_is_free_after_a_run(process):
    """The next read can fill all of it."""
    process.queue(CHANGED)
    process.receiver._run_once(-1)
    process.receiver._run_once(-1)
    assert (process.runs, process.receiver._end) == ([CHANGED], 0)


def test_a_sender_writes_only_to_queues_whose_next_run_does_not_include_the_signal():
    """Any reader of a shared queue is enough."""
    flags = {Identity("worker", number): memoryview(bytearray(SIGNALS)) for number in (1, 2)}
    signals, (first, second) = CoalescedSignals(flags.__getitem__), flags
    signals.prepare(CHANGED, [((7, b"to 1"), [first]), ((8, b"to 2"), [second])])
    signals.prepare(ALSO_CHANGED, [((9, b"to any"), [first, second])])
    flags[second][CHANGED] = flags[second][ALSO_CHANGED] = 1
    assert signals.deliveries(CHANGED) == [(7, b"to 1")]
    assert signals.deliveries(ALSO_CHANGED) == []
    flags[second][CHANGED] = 0
    assert signals.deliveries(CHANGED) == [(7, b"to 1"), (8, b"to 2")]
