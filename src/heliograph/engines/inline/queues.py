"""The queues of all simulated processes, in the order in which signals were sent."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from heliograph.models import Queue


class InlineQueues:
    """Queues with a limited number of signals each. The engine holds a lock around each call."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: deque[tuple[Queue, int]] = deque()
        self._lengths: Counter[Queue] = Counter()
        self._coalesce: set[int] = set()
        self.coalesced: Counter[int] = Counter()
        """For each signal how many were removed together with an earlier one."""

    def have_space(self, where: Iterable[Queue]) -> bool:
        """Return True if none of these queues is full."""
        return all(self._lengths[queue] < self._capacity for queue in where)

    def put(self, num: int, where: Iterable[Queue]) -> None:
        """Put one copy of a signal into each of these queues."""
        for queue in where:
            self._pending.append((queue, num))
            self._lengths[queue] += 1

    def take(self, among: tuple[Queue, ...] | None) -> tuple[Queue, int] | None:
        """Remove and return the oldest signal of these queues, or of all queues."""
        at = next((i for i, (queue, _) in enumerate(self._pending) if among is None or queue in among), None)
        if at is None:
            return None
        queue, num = self._pending[at]
        del self._pending[at]
        self._lengths[queue] -= 1
        if num in self._coalesce:
            self._remove(queue, num)
        return queue, num

    def register(self, num: int, *, coalesce: bool) -> None:
        """Let `take` remove all signals of a number from a queue at once, or one at a time."""
        (self._coalesce.add if coalesce else self._coalesce.discard)(num)

    def numbers(self, where: Iterable[Queue]) -> tuple[int, ...]:
        """Return the numbers in these queues, the oldest first."""
        wanted = set(where)
        return tuple(num for queue, num in self._pending if queue in wanted)

    def _remove(self, queue: Queue, num: int) -> None:
        kept = deque(entry for entry in self._pending if entry != (queue, num))
        removed = len(self._pending) - len(kept)
        self._pending = kept
        self._lengths[queue] -= removed
        self.coalesced[num] += removed
