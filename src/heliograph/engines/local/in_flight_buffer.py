"""The in-flight buffer of a receiver, and the queues from which the kernel reads records into it."""

from __future__ import annotations

import select
from collections.abc import Iterable
from os import readv

from heliograph._core.signals.records import DONE, IN_FLIGHT_BYTES, RECORD_BYTES
from heliograph.engines.local.greenlets import make_epoll
from heliograph.exceptions import WaitFailed


def watch(own: Iterable[int], shared: Iterable[int]) -> select.epoll:
    """Watch queues. `own` are descriptors that no other process reads."""
    epoll = make_epoll()
    for fd in own:
        epoll.register(fd, select.EPOLLIN)
    for fd in shared:
        # The kernel wakes one of the idle processes, not all of them.
        epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    return epoll


class InFlightBuffer:
    """A buffer in shared memory. `_next` and `_end` bound the records that are fetched and not started."""

    def __init__(self, in_flight: memoryview) -> None:
        self._in_flight = in_flight
        self._next = self._end = 0
        self._free: dict[int, list[memoryview]] = {}
        self._whole = [in_flight]

    def _read_all(self, fd: int) -> None:
        """Let the kernel read as much as the free part of the buffer takes."""
        if self._end:
            self._read(fd, IN_FLIGHT_BYTES)
            return
        try:
            self._end = readv(fd, self._whole) // RECORD_BYTES
        except BlockingIOError:
            return

    def _read(self, fd: int, most: int) -> bool:
        """Let the kernel read up to `most` bytes into the free part of the buffer. Return False if there is none."""
        free = self._free.get(self._end * IN_FLIGHT_BYTES + most) or self._make_free(most)
        try:
            count = readv(fd, free)
        except BlockingIOError:  # another process was faster
            return False
        self._end += count // RECORD_BYTES
        return count > 0

    def _make_free(self, most: int) -> list[memoryview]:
        """Make the argument of `readv`. This is done once, since it takes as long as the read itself."""
        start = self._end * RECORD_BYTES
        if start >= IN_FLIGHT_BYTES:
            raise WaitFailed("too many handlers of this process wait for signals within each other")
        free = self._free[self._end * IN_FLIGHT_BYTES + most] = [self._in_flight[start : start + most]]
        return free

    def _lowest_free(self) -> int:
        """Return the record to read on at: behind those that an outer level has in flight, over those that are done."""
        place = self._next
        while place and self._in_flight[(place - 1) * RECORD_BYTES] == DONE:
            place -= 1
        return place
