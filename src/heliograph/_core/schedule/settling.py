"""Changes of files that wait until nothing more changes: one save or one deployment is many events, and one run.

A change fires `settle` seconds after the last event of its path. A path that changes all the time fires too, at the
latest `MAX_SETTLES` x `settle` seconds after the first event. The next event then begins another change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_SETTLES = 20
"""A change waits so many times `settle` at most."""


@dataclass(slots=True)
class _Change:
    due: float
    latest: float
    """Time at which it fires even if the path still changes."""


class Settling:
    """The changes that have not fired, by the name of their trigger. Times are seconds on one monotonic clock."""

    def __init__(self) -> None:
        self._changes: dict[str, _Change] = {}

    def __bool__(self) -> bool:
        """Return True if a change has not fired."""
        return bool(self._changes)

    def add(self, name: str, settle: float, now: float) -> None:
        """Note that the path of a trigger has changed now."""
        change = self._changes.setdefault(name, _Change(now, now + MAX_SETTLES * settle))
        change.due = min(now + settle, change.latest)

    def take(self, now: float) -> list[str]:
        """Return the triggers whose changes fire now, and forget these changes."""
        settled = [name for name, change in self._changes.items() if change.due <= now]
        for name in settled:
            del self._changes[name]
        return settled

    def wait(self, now: float) -> float:
        """Return the seconds until the next change fires. Infinite if there is none."""
        return max(0.0, min((change.due for change in self._changes.values()), default=math.inf) - now)

    def forget(self, name: str) -> None:
        """Forget the change of a trigger. No error if there is none."""
        self._changes.pop(name, None)
