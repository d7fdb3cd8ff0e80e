"""Names of signals without shared memory."""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.signals.names import first_candidate


class ProcessLocalNames:
    """Each process assigns numbers to names itself. The registry of the runtime keeps them, and forks inherit it.

    Processes agree, since the number derives from the name. Exception: names with the same first candidate that the
    processes create in a different order.
    """

    _named: frozenset[int] = frozenset()

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        num = first_candidate(name, free)
        self._named |= {num}
        return num

    def has_name(self, num: int) -> bool:
        return num in self._named
