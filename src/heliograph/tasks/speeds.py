"""The speed of the functions that are tasks, from their runs in this process."""

from __future__ import annotations

from collections.abc import Iterable

_SHARE = 0.2
"""Share of the newest run in the moving average."""


class Speeds:
    """A moving average for each function. One that was never run counts as slow."""

    def __init__(self, fast: float) -> None:
        """A function is fast if its average is less than `fast` seconds."""
        self._fast = fast
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

    def slow(self, known: Iterable[str]) -> frozenset[str]:
        """Return those functions that are slow."""
        if self._known is not known:
            average, unknown = self._average, self._fast
            self._slow = frozenset(name for name in known if average.get(name, unknown) >= self._fast)
            self._known = known
        return self._slow
