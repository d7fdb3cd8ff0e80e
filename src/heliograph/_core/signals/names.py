"""Names of signals: which number a name would have, and the table of names that all processes of a server share.

A name's first candidate is worked out from the name alone, so processes that know nothing of each other mostly agree;
where two names want one number, whoever keeps the table decides.

Layout of the table: 256 entries of NAME_BYTES bytes: length of the name (0: the number has none), then the name. One
process at a time writes it; others may read meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zlib import crc32

from heliograph.exceptions import NoSignalAvailable, SignalNameError, SignalTypeError
from heliograph.models import SIGNALS

NAME_BYTES = 64
NAMES_BYTES = SIGNALS * NAME_BYTES
MAX_NAME_BYTES = NAME_BYTES - 1
"""Bytes of a name in UTF-8."""

FORMAT_VERSION = 1
"""Version of the format of the table. Increase it when the meaning of a byte changes."""

_FIRST_AUTOMATIC = 64
"""Numbers below are what people write by hand and what `Signal()` takes first, so names come to them last."""


def check_name(name: object) -> str:
    """The name if it is one, 1 to 63 bytes of printable text; else `SignalTypeError` or `SignalNameError`."""
    if not isinstance(name, str):
        raise SignalTypeError(f"a signal's name is a str, not {name!r} ({type(name).__name__})", name)
    if not name or not name.isprintable():
        raise SignalNameError(name, "a name is printable text, and not empty: give it one that people can read")
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        raise SignalNameError(
            name, f"it takes {size} bytes of UTF-8, and {MAX_NAME_BYTES} is the most: give a shorter one"
        )
    return str.__str__(name)  # a member of an enum does not stick to the signal


def candidates(name: str) -> Iterator[int]:
    """All 256 numbers, in the order in which a name would have them: the same one in every process and every run."""
    span = SIGNALS - _FIRST_AUTOMATIC
    start = crc32(name.encode())  # not hash(): that of a str is another one in each interpreter
    for step in range(span):
        yield _FIRST_AUTOMATIC + (start + step) % span
    yield from reversed(range(_FIRST_AUTOMATIC))


def first_candidate(name: str, free: Callable[[int], bool]) -> int:
    """The first candidate that is free. Raises `NoSignalAvailable` if none is."""
    for num in candidates(name):
        if free(num):
            return num
    raise NoSignalAvailable


class NameTable:
    """Reads and writes a table of NAMES_BYTES bytes; all zero is an empty one."""

    def __init__(self, buffer: memoryview) -> None:
        self._bytes = buffer.cast("B")[:NAMES_BYTES]

    def __getitem__(self, num: int) -> str:
        """The name of a number, empty if it has none."""
        entry = self._bytes[num * NAME_BYTES : (num + 1) * NAME_BYTES]
        return bytes(entry[1 : 1 + entry[0]]).decode(errors="ignore")

    def __setitem__(self, num: int, name: str) -> None:
        entry, text = self._bytes[num * NAME_BYTES : (num + 1) * NAME_BYTES], name.encode()
        entry[1 : 1 + len(text)] = text
        entry[0] = len(text)  # last: who reads, or takes over from a writer that was killed, sees all of it or nothing

    def find(self, name: str) -> int | None:
        """The number that has the name; None if none has."""
        return next((num for num in candidates(name) if self[num] == name), None)
