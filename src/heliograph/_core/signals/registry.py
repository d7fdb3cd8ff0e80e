"""The 256 slots of a process: which numbers are claimed, which have a name, which are registered, and with what."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.exceptions import NoSignalAvailable, SignalNameError, SignalNumberError, SignalTypeError
from heliograph.models import SIGNALS, SignalDescription


def check_num(num: object) -> int:
    """The number if it is one, 0-255; else `SignalTypeError` (bools, strings, floats) or `SignalNumberError`."""
    if isinstance(num, bool) or not isinstance(num, int):
        kind = type(num).__name__
        hint = f"; a name is given as Signal(name={num!r})" if isinstance(num, str) else ""
        raise SignalTypeError(f"a signal number is an int from 0 to 255, not {num!r} ({kind}){hint}", num)
    if not 0 <= num < SIGNALS:
        raise SignalNumberError(num)
    return int(num)


class SignalRegistry:
    """What this process knows of its signals. Not locked: applications register while they are imported."""

    def __init__(self) -> None:
        self.registered: dict[int, SignalDescription] = {}
        self.claimed: set[int] = set()
        self.names: dict[int, str] = {}

    def is_free(self, num: int) -> bool:
        """Whether nothing is registered for the number here, nobody has claimed it, and it has no name."""
        return num not in self.registered and num not in self.claimed and num not in self.names

    def first_free(self, taken_elsewhere: Callable[[int], bool]) -> int:
        """The lowest number that is free here, and not taken elsewhere.

        Raises `NoSignalAvailable` if there is none.
        """
        for num in range(SIGNALS):
            if self.is_free(num) and not taken_elsewhere(num):
                return num
        raise NoSignalAvailable

    def claim(self, taken_elsewhere: Callable[[int], bool]) -> int:
        """Take the lowest free number for good: no later claim of this process gets it."""
        num = self.first_free(taken_elsewhere)
        self.claimed.add(num)
        return num

    def number_of(self, name: str) -> int | None:
        """The number that has the name here; None if none has."""
        return next((num for num, known in self.names.items() if known == name), None)

    def name(self, num: int, name: str) -> None:
        """Give a free number its name, for good. Raises `SignalNameError` if the number is not free."""
        if not self.is_free(num):
            raise SignalNameError(
                name,
                f"it has number {num} on this server, which in this process something without that name has: "
                "give that another number, or the name",
            )
        self.names[num] = name

    def clear(self) -> None:
        """Forget everything, as a fresh process would."""
        self.registered.clear()
        self.claimed.clear()
        self.names.clear()
