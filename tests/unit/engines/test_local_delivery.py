"""Writing records to full and free pipes: all of them, or an error at the deadline."""

import os
import threading
import time

import pytest

from heliograph._core.signals.records import Record, encode
from heliograph.engines.local.delivery import QueueStaysFull, write_all
from heliograph.exceptions import NoEngine
from heliograph.timing.clocks import SystemClock

CLOCK = SystemClock()
RECORD = b"r" * 16


class Pipe:
    """A pipe of one page."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_NONBLOCK)

    def fill(self) -> "Pipe":
        try:
            while True:
                os.write(self.write, bytes(4096))
        except BlockingIOError:
            return self

    def empty(self) -> bytes:
        content = b""
        try:
            while piece := os.read(self.read, 65_536):
                content += piece
        except BlockingIOError:
            pass
        return content


@pytest.fixture
def pipes():
    made = [Pipe() for _ in range(3)]
    yield made
    for pipe in made:
        os.close(pipe.read)
        os.close(pipe.write)


def never(_fds):
    return False


def deliver(pipes, timeout=0.0, is_only_reader=never):
    written = []
    write_all([(pipe.write, RECORD) for pipe in pipes], timeout, CLOCK, is_only_reader, written)
    assert written == [(pipe.write, RECORD) for pipe in pipes]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_pipe_gets_its_record(pipes, count):
    """Once, also without any time to wait."""
    deliver(pipes[:count])
    assert [pipe.empty() for pipe in pipes] == [RECORD] * count + [b""] * (3 - count)


@pytest.mark.parametrize("full", [0, 1, 2])
def test_no_pipe_gets_a_record_if_one_stays_full(pipes, full):
    """The error comes at the deadline and not before it."""
    content = len(pipes[full].fill().empty())
    pipes[full].fill()
    began = time.monotonic()
    with pytest.raises(QueueStaysFull) as caught:
        deliver(pipes, 0.05)
    assert time.monotonic() - began >= 0.05
    assert not caught.value.self_deadlock
    assert [len(pipe.empty()) for pipe in pipes] == [content if pipe is pipes[full] else 0 for pipe in pipes]


@pytest.mark.parametrize("count", [1, 3])
def test_a_sender_waits_until_there_is_space(pipes, count):
    """The kernel wakes it when a reader has emptied the pipe."""
    full = len(pipes[0].fill().empty())
    pipes[0].fill()
    waits = threading.Event()

    def is_only_reader(fds):
        assert list(fds) == [pipes[0].write]
        waits.set()
        return False

    thread = threading.Thread(target=deliver, args=(pipes[:count], 20.0, is_only_reader))
    thread.start()
    assert waits.wait(20)
    content = pipes[0].empty()  # it may hold the new record already
    thread.join(20)
    content += pipes[0].empty()
    assert content.endswith(RECORD)
    assert len(content) == full + len(RECORD)
    assert [pipe.empty() for pipe in pipes[1:count]] == [RECORD] * (count - 1)


@pytest.mark.parametrize("count", [1, 3])
def test_a_sender_that_would_wait_for_itself_does_not_wait(pipes, count):
    """The error says so."""
    pipes[0].fill()
    with pytest.raises(QueueStaysFull) as caught:
        deliver(pipes[:count], 3600.0, lambda fds: pipes[0].write in fds)
    assert caught.value.self_deadlock


@pytest.mark.parametrize("timeout", [30 * 86400.0, 1e10, float("inf")])
def test_wait_for_a_full_pipe_can_exceed_what_the_kernel_takes(pipes, timeout):
    """The wait is cut into parts. The kernel takes at most 2^31 milliseconds."""
    pipes[0].fill()
    reader = threading.Timer(0.05, os.read, (pipes[0].read, 4096))  # one page: the record does not fit in before
    reader.start()
    deliver(pipes[:1], timeout=timeout)
    reader.join()
    assert pipes[0].empty().endswith(RECORD)


@pytest.mark.parametrize("count", [1, 2])
def test_a_descriptor_that_the_application_has_closed(pipes, count):
    """`os.closerange(3, 1024)` closes those of heliograph too. The error says so, and names the signal."""
    deliveries = [(pipe.write, encode(Record(17, 0))) for pipe in pipes[:count]]
    os.close(pipes[0].write)
    try:
        with pytest.raises(
            NoEngine, match=r"signal 17 was not sent: this process has closed a descriptor .* only what"
        ):
            write_all(deliveries, 1.0, CLOCK, never, [])
    finally:
        pipes[0].write = os.dup(pipes[1].write)
