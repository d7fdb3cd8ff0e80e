"""The 256 slots of a process: which numbers are claimed, which are registered, and with what."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.exceptions import NoSignalAvailable, SignalNumberError, SignalTypeError
from heliograph.values import SIGNALS, SignalDescription


def check_num(num: object) -> int:
    """The number if it is one, 0-255; else `SignalTypeError` (bools, strings, floats) or `SignalNumberError`."""
    if isinstance(num, bool) or not isinstance(num, int):
        kind = type(num).__name__
        raise SignalTypeError(f"a signal number is an int from 0 to 255, not {num!r} ({kind})", num)
    if not 0 <= num < SIGNALS:
        raise SignalNumberError(num)
    return int(num)


class Table:
    """What this process knows of its signals. Not locked: applications register while they are imported."""

    def __init__(self) -> None:
        self.registered: dict[int, SignalDescription] = {}
        self.claimed: set[int] = set()

    def first_free(self, taken_elsewhere: Callable[[int], bool]) -> int:
        """The lowest number neither registered nor claimed here, nor taken elsewhere.

        Raises `NoSignalAvailable` if there is none.
        """
        for num in range(SIGNALS):
            if num not in self.registered and num not in self.claimed and not taken_elsewhere(num):
                return num
        raise NoSignalAvailable

    def claim(self, taken_elsewhere: Callable[[int], bool]) -> int:
        """Take the lowest free number for good: no later claim of this process gets it."""
        num = self.first_free(taken_elsewhere)
        self.claimed.add(num)
        return num

    def clear(self) -> None:
        """Forget everything, as a fresh process would."""
        self.registered.clear()
        self.claimed.clear()
