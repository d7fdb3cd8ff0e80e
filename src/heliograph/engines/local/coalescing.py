"""Receivers of processes with handlers that run once for all queued signals of a number (`coalesce=True`).

How it works
    The receiver does not run such a handler when it fetches the signal. It parks the record: the record stays in the
    in-flight buffer as fetched, and later records of the same number are done at once and counted. The run starts when
    the queues are empty, or before another handler, but not sooner than `MIN_INTERVAL` after the one before.

    While a record is parked, a byte in shared memory says so, and senders write no further record of that number. So a
    thousand signals a second wake the receiver a few times only. The receiver clears the byte before the handler
    starts, so a run includes every signal that was not written because of it. Senders that do not look at the byte
    (the master, for example) write records as usual.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from heliograph._core.signals.records import ATTEMPTS_BYTE, DONE, FETCHED, RECORD_BYTES, queue_of
from heliograph.engines.local.delivery import Delivery
from heliograph.engines.local.receiver import Receiver
from heliograph.engines.local.sigterm import SIGTERM, catch_sigterm, handler_of
from heliograph.models import Identity

MIN_INTERVAL = 0.05
"""Seconds from one run to the next of the same handler, if no other signal needs it sooner."""

_MAX_WAIT = 0.5
"""Seconds that a record is parked at most if the queues never become empty."""
_MAX_PARKED = 32
"""Parked records at most, so that half of the in-flight buffer stays free."""


class CoalescedSignals:
    """The signals with `coalesce=True` in this process: how they are sent, and received."""

    def __init__(self, parked: Callable[[Identity], memoryview]) -> None:
        """`parked(process)` returns one byte for each signal, which is 1 while the process has a parked record."""
        self.nums: set[int] = set()
        self.receivers: dict[int, list[tuple[Delivery, list[memoryview]]]] = {}
        """For each number its deliveries, each with the bytes of all processes that read the queue."""
        self._parked = parked

    def register(self, num: int, *, coalesce: bool) -> None:
        """Add a number, or remove it."""
        (self.nums.add if coalesce else self.nums.discard)(num)

    def prepare(self, num: int, receivers: Iterable[tuple[Delivery, Iterable[Identity]]]) -> None:
        """Prepare sending. `receivers` are the deliveries, each with the processes that read the queue."""
        self.receivers[num] = [(delivery, [*map(self._parked, readers)]) for delivery, readers in receivers]

    def deliveries(self, num: int) -> list[Delivery]:
        """Return the deliveries to queues without a reader whose next run includes the signal."""
        return [delivery for delivery, parked in self.receivers[num] if not any(flags[num] for flags in parked)]

    def receiver_class(
        self, plain: type[Receiver], process: Identity, shared: frozenset[int]
    ) -> Callable[..., CoalescingReceiver]:
        """Return what makes the receiver of a process: one of a plain class that also parks records.

        `shared` are the numbers of the queues that other processes read as well.
        """
        coalescing = type(f"Coalescing{plain.__name__}", (CoalescingReceiver, plain), {})
        return partial(coalescing, coalesced=Coalesced(self.nums, self._parked(process), shared))


@dataclass(frozen=True, slots=True)
class Coalesced:
    """The signals of a process whose handlers run once for all that are queued."""

    nums: Collection[int]
    flags: memoryview
    """One byte for each signal in shared memory, 1 while a record of that number is parked."""
    shared: frozenset[int]
    """The numbers of the queues that other processes read as well."""


class CoalescingReceiver(Receiver):
    """A receiver that parks records."""

    def __init__(self, *args: Any, coalesced: Coalesced, **options: Any) -> None:
        super().__init__(*args, **options)
        self._coalesced = coalesced
        self._parked: dict[int, int] = {}
        """Signal -> offset of its parked record, the earliest first."""
        self._parked_at: dict[int, float] = {}
        self._started_at: dict[int, float] = {}
        """Signal -> when its last run started."""

    def _take_signals(self) -> None:
        self.measures.can_batch &= not self._coalesced.nums
        if not self._coalesced.nums:
            self._handle = super()._handle  # type: ignore[method-assign]  # saves a call for each signal
        self._forget_parked()  # `_resume_predecessor` finds their records
        super()._take_signals()
        self._run_parked(list(self._parked))

    def _forget_parked(self) -> None:
        self._next = 0
        self._parked.clear()
        self._parked_at.clear()
        self._coalesced.flags[:] = bytes(len(self._coalesced.flags))

    def _run_once(self, timeout: float, only: int = 0) -> None:
        if not self._parked or self._next < self._end:
            super()._run_once(timeout, only)
            return
        now = time.monotonic()
        wait = min(map(self._due, self._parked)) - now
        if wait > 0:
            super()._run_once(wait if timeout < 0 else min(wait, timeout), only)
        elif self._epoll.poll(0) and now < min(self._parked_at.values()) + _MAX_WAIT:
            super()._run_once(0, only)  # the queues are not empty, so there may be more to include
        else:
            self._run_parked([num for num in self._parked if self._due(num) <= now])
            self._run_in_flight()  # there is nothing to run, so this frees the buffer

    def _run_in_flight(self, most: int = 0) -> None:
        super()._run_in_flight(most)
        if self._parked and not self._end:
            self._next = self._end = max(self._parked.values()) // RECORD_BYTES + 1

    def _handle(self, offset: int) -> None:
        num = self._in_flight[offset + 1]
        if num in self._coalesced.nums:
            self._park(num, offset)
            return
        if self._parked:
            now = time.monotonic()
            # Another process could take what came through a shared queue, so it does not wait for this handler.
            self._run_parked([n for n, place in self._parked.items() if self._is_shared(place) or self._due(n) <= now])
        super()._handle(offset)

    def _due(self, num: int) -> float:
        return self._started_at.get(num, -math.inf) + MIN_INTERVAL

    def _is_shared(self, offset: int) -> bool:
        return queue_of(self._in_flight, offset) in self._coalesced.shared

    def _park(self, num: int, offset: int) -> None:
        """Keep the record for a later run, or let the run of a record that is parked already include it."""
        in_flight = self._in_flight
        if num in self._parked:
            attempts = self._parked[num] + ATTEMPTS_BYTE
            in_flight[attempts] = max(in_flight[attempts], in_flight[offset + ATTEMPTS_BYTE])
            self._include(num, offset)
            return
        if len(self._parked) >= _MAX_PARKED:
            self._run_parked(list(self._parked))
        self._parked[num] = self._move_down(offset)
        self._parked_at[num] = time.monotonic()
        self._coalesced.flags[num] = 1

    def _move_down(self, offset: int) -> int:
        """Move a record to the first free place, so that the end of the buffer stays free. Return its offset."""
        in_flight = self._in_flight
        for place in range(0, offset, RECORD_BYTES):
            if in_flight[place] == DONE:
                in_flight[place + 1 : place + RECORD_BYTES] = in_flight[offset + 1 : offset + RECORD_BYTES]
                in_flight[place] = FETCHED
                in_flight[offset] = DONE  # a process that is killed before this leaves two, and its successor one
                return place
        return offset

    def _include(self, num: int, offset: int) -> None:
        self._in_flight[offset] = DONE
        self._slot.coalesced[num] += 1

    def _run_parked(self, nums: Collection[int]) -> None:
        for num in nums:
            if num not in self._parked or self._abandoned:  # a handler that waits has run it
                continue
            offset = self._parked.pop(num)
            del self._parked_at[num]
            self._coalesced.flags[num] = 0
            self._started_at[num] = time.monotonic()
            for later in range(self._next * RECORD_BYTES, self._end * RECORD_BYTES, RECORD_BYTES):
                if self._in_flight[later] == FETCHED and self._in_flight[later + 1] == num:
                    self._include(num, later)
            if self._drain_on_sigterm is not None and handler_of(SIGTERM) is not self._drain_on_sigterm:
                catch_sigterm(self._drain_on_sigterm, self._wake_write)
            super()._handle(offset)
