"""Writing records to the queues of a signal, which are pipes. A full pipe holds the sender back."""

from __future__ import annotations

import select
from collections.abc import Callable, Collection, Sequence
from os import write

from heliograph._core.signals.records import decode
from heliograph.engines.local import closed_descriptors
from heliograph.exceptions import NoEngine
from heliograph.interfaces import Clock
from heliograph.models import MAX_WAIT

Delivery = tuple[int, bytes]
"""A descriptor to write to, and the record to write."""

IsOnlyReader = Callable[[Collection[int]], bool]
"""Return True if the calling thread is the only reader of one of these pipes, given as descriptors to write to."""


class QueueStaysFull(Exception):
    """A pipe did not take the record in time, or cannot take it while this thread waits."""

    def __init__(self, *, self_deadlock: bool) -> None:
        super().__init__(self_deadlock)
        self.self_deadlock = self_deadlock


def write_all(
    deliveries: Sequence[Delivery], timeout: float, clock: Clock, is_only_reader: IsOnlyReader, written: list[Delivery]
) -> None:
    """Write all records, waiting at most `timeout` seconds until every pipe has space.

    `written` gets the deliveries that were written, also if that raises.

    Raises:
        NoEngine: if this process has closed the descriptor.
        QueueStaysFull: if a pipe stays full. Then no record was written, except when another sender filled a pipe
            between the look at all pipes and the writes.
    """
    if len(deliveries) == 1 and _write(*deliveries[0]):
        written += deliveries
        return
    deadline = clock.monotonic() + timeout
    _await_space([fd for fd, _ in deliveries], deadline, clock, is_only_reader)
    for fd, record in deliveries:
        # The other receivers have the signal already, so this one gets the whole timeout.
        while not _write(fd, record):
            _await_space([fd], max(deadline, clock.monotonic() + timeout), clock, is_only_reader)
        written.append((fd, record))


def _write(fd: int, record: bytes) -> bool:
    try:
        write(fd, record)
    except BlockingIOError:
        return False
    except OSError as error:
        num = decode(record).num
        raise NoEngine(f"signal {num} was not sent: {closed_descriptors.explain(error)}") from error
    return True


def _await_space(fds: Sequence[int], deadline: float, clock: Clock, is_only_reader: IsOnlyReader) -> None:
    """Return when each of these pipes has had space. Raises: QueueStaysFull at the deadline."""
    full = dict.fromkeys(fds)
    milliseconds = 0.0  # the first poll does not wait, since there mostly is space
    while full:
        poll = select.poll()
        for fd in full:
            poll.register(fd, select.POLLOUT)
        for fd, _ in poll.poll(milliseconds):
            del full[fd]
        if not full:
            return
        self_deadlock = is_only_reader(full)
        left = deadline - clock.monotonic()
        if self_deadlock or left <= 0:
            raise QueueStaysFull(self_deadlock=self_deadlock)
        milliseconds = min(left, MAX_WAIT) * 1000
