"""The speed of the functions that are tasks, from their runs in this process."""

from __future__ import annotations

from collections.abc import Iterable

MIN_BATCH, MAX_BATCH = 16, 128
"""Number of tasks in a batch of fast functions."""

_SHARE = 0.2
"""Share of the newest run in the moving average."""


class Speeds:
    """A moving average for each function. One that was never run counts as slow."""

    def __init__(self, turn: float) -> None:
        """A function is fast if `MIN_BATCH` runs take less than `turn` seconds."""
        self._turn = turn
        self._fast = turn / MIN_BATCH
        self._average: dict[str, float] = {}
        self._slow: frozenset[str] = frozenset()
        self._known: object = None

    def add(self, name: str, seconds: float) -> None:
        """Count a run."""
        old = self._average.get(name)
        new = seconds if old is None else old + _SHARE * (seconds - old)
        self._average[name] = new
        if old is None or (old < self._fast) != (new < self._fast):
            self._known = None

    def batch(self) -> int:
        """Return how many tasks to claim: as many as take `turn` seconds if all are of the slowest fast function."""
        slowest = max((average for average in self._average.values() if average < self._fast), default=self._fast)
        return max(MIN_BATCH, min(MAX_BATCH, int(self._turn / (slowest or self._fast))))

    def slow(self, known: Iterable[str]) -> frozenset[str]:
        """Return those functions that are slow."""
        if self._known is not known:
            average, unknown = self._average, self._fast
            self._slow = frozenset(name for name in known if average.get(name, unknown) >= self._fast)
            self._known = known
        return self._slow
