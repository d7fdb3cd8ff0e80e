"""Time limits in the receiver of a web worker."""

import os
import threading

import pytest

from heliograph._core.signals.records import IN_FLIGHT_BYTES, Record, encode
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
