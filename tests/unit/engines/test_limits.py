"""Limits of a process: the memory that it uses after a handler, and the number of signals."""

import json
import logging
import os
import tracemalloc

import pytest

from heliograph._core.signals.records import DONE, FETCHED, IN_FLIGHT_BYTES, RECORD_BYTES, Record, encode
from heliograph._core.stats.counters import SLOT_BYTES, Counters
from heliograph.engines.local import limits
from heliograph.engines.local.coalescing import CoalescedSignals, CoalescingReceiver
from heliograph.engines.local.limits import (
    INTERVAL_PER_COST,
    MIN_INTERVAL,
    MemoryLimit,
    begin_limits,
    limited,
    report_limit,
    used_memory,
)
from heliograph.engines.local.receiver import Receiver
from heliograph.models import Identity

MIB = 1 << 20
MULE = Identity("mule", 1)


class Process:
    """A process whose memory and clock the test sets."""

    def __init__(self, limit=200 * MIB, jitter=0.0):
        self.now, self.used, self.cost, self.looks = 100.0, 50 * MIB, 0.0, 0
        self.limit = MemoryLimit(limit, self.look, lambda: self.now, lambda: jitter)

    def look(self):
        self.looks += 1
        self.now += self.cost
        return self.used


def test_a_process_within_its_limit():
    """It is looked at again after a second."""
    process = Process()
    assert process.limit.look_at == 100 + MIN_INTERVAL
    process.now = 105
    assert process.limit.excess() == ""
    assert process.limit.look_at == 105 + MIN_INTERVAL


@pytest.mark.parametrize(("jitter", "most"), [(0, 200), (0.5, 210), (1, 220)])
def test_a_process_above_its_limit(jitter, most):
    """The limit is up to a tenth higher, so that processes that leak alike are not replaced together."""
    process = Process(jitter=jitter)
    process.used = most * MIB
    assert process.limit.excess() == ""
    process.used += MIB
    assert process.limit.excess() == f"it uses {most + 1}.0 MiB (--max-rss 200M)"


def test_a_large_process_is_looked_at_less_often():
    """So that it takes at most a half percent of the time."""
    process = Process()
    process.cost = 0.02
    process.limit.excess()
    assert process.limit.look_at == pytest.approx(process.now + 4)
    assert INTERVAL_PER_COST >= 100


def test_a_limit_that_the_process_exceeds_when_it_starts(caplog):
    """Each successor would exceed it as well, so it has no effect. The log says so."""
    process = Process(20 * MIB)
    process.limit.begin(MULE)
    assert process.limit.look_at == float("inf")
    (message,) = caplog.messages
    assert message == (
        "mule1 uses 50.0 MiB when it starts, more than --max-rss 20M: the limit has no effect on this process. "
        "Set it well above that"
    )


def test_the_memory_of_this_process():
    """It grows with what the process uses."""
    tracemalloc.stop()
    before = used_memory()
    held = bytearray(os.urandom(64 * MIB))
    assert before + 60 * MIB < used_memory() < before + 100 * MIB
    assert len(held) == 64 * MIB


def test_where_the_kernel_tells_no_pss(monkeypatch):
    """The RSS must do, else nothing."""
    monkeypatch.setattr(limits, "proportional_memory", lambda _: None)
    assert used_memory() > MIB
    monkeypatch.setattr(limits, "resident_memory", lambda _: None)
    assert used_memory() == 0


class Run:
    """A receiver with this many signals in flight, whose handler uses memory."""

    def __init__(self, plain, count, handler=lambda _: None):
        self.in_flight = memoryview(bytearray(IN_FLIGHT_BYTES))
        for place in range(count):
            record = encode(Record(1, 0, 0, FETCHED))
            self.in_flight[place * RECORD_BYTES : (place + 1) * RECORD_BYTES] = record
        self.slot = Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
        self.receiver = plain([], [], self.in_flight, self.slot, {1: (handler, 0)}, max_signals=plain_max(plain))

    def resume(self):
        self.receiver._resume_predecessor()

    @property
    def done(self):
        return sum(self.in_flight[place] == DONE for place in range(0, IN_FLIGHT_BYTES, RECORD_BYTES))


def plain_max(plain):
    return getattr(plain, "max_signals", 0)


def memory_limited(monkeypatch, process, max_signals=0):
    """A class of receivers with the limit of that process."""
    monkeypatch.setattr(limits, "MemoryLimit", lambda _: process.limit)
    monkeypatch.setattr(limits, "monotonic", lambda: process.now)
    return limited(Receiver, max_signals, 200 * MIB)


@pytest.mark.parametrize("coalescing", [False, True], ids=["plain", "coalescing"])
def test_the_receiver_ends_after_the_handler(monkeypatch, coalescing):
    """The rest of what it has fetched is left to its successor."""
    process = Process()

    def leak(_num):
        process.used += 60 * MIB
        process.now += 2

    plain = memory_limited(monkeypatch, process)
    if coalescing:
        signals = CoalescedSignals(lambda _: memoryview(bytearray(256)))
        plain = signals.receiver_class(plain, MULE, frozenset())
    run = Run(plain, 10, leak)
    assert isinstance(run.receiver, CoalescingReceiver) == coalescing
    run.resume()
    assert (run.slot.done[1], run.receiver._done()) == (3, True)
    assert run.receiver.reason == "it uses 230.0 MiB (--max-rss 200M)"


def test_the_memory_is_not_looked_at_after_each_handler(monkeypatch):
    """Handlers that are fast share a look."""
    process = Process()
    run = Run(memory_limited(monkeypatch, process), 50)
    run.resume()
    assert (run.slot.done[1], process.looks, run.receiver.reason) == (50, 0, "")
    process.now += 2
    run = Run(memory_limited(monkeypatch, process), 50)
    run.resume()
    assert (run.slot.done[1], process.looks) == (50, 1)


def test_a_number_of_signals():
    """It is a reason too."""
    run = Run(limited(Receiver, 3, 0), 10)
    assert run.receiver.reason == ""
    run.resume()
    assert (run.slot.done[1], run.receiver.reason) == (3, "it has handled 3 signals (--max-signals 3)")


def test_without_limits():
    """The receiver is the plain one, which costs nothing more."""
    assert limited(Receiver, 0, 0) is Receiver
    begin_limits(Run(Receiver, 0).receiver, MULE)
    report_limit(Run(Receiver, 0).receiver, None, MULE)


class Inherited:
    """The state of a process, as far as a report needs it."""

    generation = 3

    def __init__(self, reports):
        self.reports = reports


@pytest.mark.parametrize("age", [10, 100])
def test_the_report(monkeypatch, age):
    """It says why the process ends, and whether it has reached the limit for memory soon after its start."""
    process = Process()
    run = Run(memory_limited(monkeypatch, process), 1)
    begin_limits(run.receiver, MULE)
    process.now += age
    process.used = 300 * MIB
    run.resume()
    read, write = os.pipe()
    try:
        report_limit(run.receiver, Inherited(write), MULE)
        assert json.loads(os.read(read, 4096)) == {
            "generation": 3,
            "recycling": ["mule", 1],
            "pid": os.getpid(),
            "reason": "it uses 300.0 MiB (--max-rss 200M)",
            "is_early": age == 10,
        }
    finally:
        os.close(read)
        os.close(write)


def test_a_report_that_cannot_be_sent(caplog):
    """The process ends nonetheless."""
    run = Run(limited(Receiver, 1, 0), 1)
    run.resume()
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    report_limit(run.receiver, Inherited(write), MULE)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
