"""The 256 signal numbers of a process: which are claimed, named or registered."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.exceptions import NoSignalAvailable, SignalNameError, SignalNumberError, SignalTypeError
from heliograph.models import SIGNALS, SignalDescription


def check_num(num: object) -> int:
    """Validate a signal number.

    Raises:
        SignalTypeError: The number is not an int.
        SignalNumberError: The number is outside 0-255.
    """
    if isinstance(num, bool) or not isinstance(num, int):
        kind = type(num).__name__
        hint = f", or a name as Signal(name={num!r})" if isinstance(num, str) else ""
        raise SignalTypeError(f"invalid signal number: {num!r} ({kind}). Pass an int from 0 to 255{hint}.", num)
    if not 0 <= num < SIGNALS:
        raise SignalNumberError(num)
    return int(num)


class SignalRegistry:
    """The signals of this process. It has no lock, since applications register handlers while they are imported."""

    def __init__(self) -> None:
        self.registered: dict[int, SignalDescription] = {}
        self.claimed: set[int] = set()
        self.names: dict[int, str] = {}

    def is_free(self, num: int) -> bool:
        """Return True if the number is not registered, claimed or named in this process."""
        return num not in self.registered and num not in self.claimed and num not in self.names

    def first_free(self, taken_elsewhere: Callable[[int], bool]) -> int:
        """Return the lowest number that is free in this process and not taken elsewhere.

        Raises:
            NoSignalAvailable: No number is free.
        """
        for num in range(SIGNALS):
            if self.is_free(num) and not taken_elsewhere(num):
                return num
        raise NoSignalAvailable

    def claim(self, taken_elsewhere: Callable[[int], bool]) -> int:
        """Claim the lowest free number, and return it.

        Raises:
            NoSignalAvailable: No number is free.
        """
        num = self.first_free(taken_elsewhere)
        self.claimed.add(num)
        return num

    def number_of(self, name: str) -> int | None:
        """Return the number of a name in this process. None if the name is unknown."""
        return next((num for num, known in self.names.items() if known == name), None)

    def name(self, num: int, name: str) -> None:
        """Give a free number its name.

        Raises:
            SignalNameError: The number is not free.
        """
        if not self.is_free(num):
            raise SignalNameError(
                name,
                f"its number {num} on this server is in use in this process without that name. "
                "Give that signal another number, or the name.",
            )
        self.names[num] = name

    def clear(self) -> None:
        """Remove all entries."""
        self.registered.clear()
        self.claimed.clear()
        self.names.clear()
