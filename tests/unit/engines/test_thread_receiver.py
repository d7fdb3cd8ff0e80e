"""The receiver of a web worker: time limits, and groups of signals."""

import os
import threading

import pytest

from heliograph._core.signals.records import IN_FLIGHT_BYTES, PREFETCH, Record, encode
from heliograph._core.stats.counters import SLOT_BYTES, Counters
from heliograph.engines.local import thread_receiver as module
from heliograph.engines.local.thread_receiver import ThreadReceiver


@pytest.fixture
def pipe():
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)
    os.close(write)


def test_a_limit_that_passes_when_the_handler_returns_leaves_the_next_signal_alone(pipe, monkeypatch):
    """Its record is at the same offset of the in-flight buffer."""
    late = []

    class Timer(threading.Timer):
        def start(self):
            late.append(lambda: self.function(*self.args))

    def limited(_num):
        pass

    def next_handler(_num):
        late[0]()

    monkeypatch.setattr(module.threading, "Timer", Timer)
    monkeypatch.setattr(module.os, "kill", lambda *_: pytest.fail("the process must not end"))
    slot = Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
    handlers = {1: (limited, 5.0), 2: (next_handler, 0.0)}
    receiver = ThreadReceiver([pipe[0]], [], memoryview(bytearray(IN_FLIGHT_BYTES)), slot, handlers)
    for num in handlers:
        os.write(pipe[1], encode(Record(num, 0)))
        receiver._run_once(0)
    assert (slot.done[1], slot.done[2]) == (1, 1)
    assert (slot.failed[1], slot.failed[2]) == (0, 0)


class Stream:
    """A receiver on a clock that stands still unless the receiver sleeps, and signals that arrive in a sleep."""

    def __init__(self, pipe, monkeypatch):
        self.read, self.write = pipe
        self.shared = os.pipe2(os.O_NONBLOCK)
        self.now, self.handled, self.pauses = 0.0, [], []
        self.arrivals = []
        """How many signals arrive in each of the next pauses."""
        slot = Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
        buffer = memoryview(bytearray(IN_FLIGHT_BYTES))
        self.receiver = ThreadReceiver([self.read], [self.shared[0]], buffer, slot, {1: (self.handled.append, 0.0)})
        self.receiver._sleep = self.sleep
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds
        self.send(self.arrivals.pop(0) if self.arrivals else 0)

    def send(self, count, fd=None):
        for _ in range(count):
            os.write(fd or self.write, encode(Record(1, 0)))

    def arrive(self, count, interval):
        """Let signals arrive one after the other."""
        for _ in range(count):
            self.send(1)
            self.receiver._run_once(-1)
            self.now += interval

    def cycle(self, timeout=-1.0):
        """Run the loop once. Return the number of signals that it handled."""
        before = len(self.handled)
        self.receiver._run_once(timeout)
        return len(self.handled) - before


@pytest.fixture
def stream(pipe, monkeypatch):
    stream = Stream(pipe, monkeypatch)
    yield stream
    for fd in stream.shared:
        os.close(fd)


def test_signals_at_a_high_rate_are_handled_in_groups(stream):
    """Each group has what arrived in a pause."""
    stream.arrive(16, 0.0019)
    assert (len(stream.handled), stream.pauses) == (16, [])
    stream.arrivals = [5, 2, 7]
    assert [stream.cycle(0.5) for _ in range(3)] == [5, 2, 7]
    assert stream.pauses == [module.GROUP_PAUSE] * 3


def test_signals_at_a_low_rate_are_handled_at_once(stream):
    """The receiver never pauses."""
    stream.arrive(200, 0.003)
    assert (len(stream.handled), stream.pauses) == (200, [])


@pytest.mark.parametrize("arrived", [0, 1])
def test_a_group_of_less_than_two_is_the_last(stream, arrived):
    """Signals that arrive later are handled at once."""
    stream.arrive(16, 0.0)
    stream.arrivals = [3, arrived]
    assert [stream.cycle(0.5), stream.cycle(0.5)] == [3, arrived]
    stream.arrive(15, 0.0)
    assert len(stream.pauses) == 2


@pytest.mark.parametrize("shared", [False, True])
def test_queued_signals_are_handled_without_pauses(stream, shared):
    """However many there are, and whichever queue they are in."""
    stream.send(40 * PREFETCH, stream.shared[1] if shared else None)
    while stream.cycle(0):
        pass
    assert (len(stream.handled), stream.pauses) == (40 * PREFETCH, [])


def test_a_full_group_is_followed_by_the_rest_without_a_pause(stream):
    """The pause comes when the queue is empty."""
    stream.arrive(16, 0.0)
    stream.arrivals = [PREFETCH + 2, 4]
    assert [stream.cycle(0.5) for _ in range(3)] == [PREFETCH, 2, 4]
    assert len(stream.pauses) == 2


def test_a_pause_is_no_longer_than_the_wait(stream):
    """A receiver of coalesced signals has a run to start then."""
    stream.arrive(16, 0.0)
    stream.arrivals = [2, 2]
    assert [stream.cycle(0.001), stream.cycle(0)] == [2, 0]
    assert stream.pauses == [0.001]


def test_a_thread_or_handler_that_waits_for_a_signal_gets_it_without_a_pause(stream):
    """The signals that it waits for may need its answer."""
    stream.arrive(16, 0.0)
    stream.receiver._threads.count = 1
    stream.arrive(1, 0.0)
    stream.receiver._threads.count = 0
    stream.send(1)
    assert stream.receiver._wait_nested(1, None, None) == 1
    assert stream.pauses == []


def test_a_process_that_leaves_in_a_pause_fetches_nothing_more(stream):
    """The signals stay in the queue for its successor."""
    stream.arrive(16, 0.0)
    stream.receiver._sleep = lambda _: (stream.send(3), stream.receiver.drain())
    assert stream.cycle(0.5) == 0
    assert len(os.read(stream.read, 4096)) == 3 * len(encode(Record(1, 0)))
