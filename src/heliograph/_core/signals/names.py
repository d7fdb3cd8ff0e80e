"""Names of signals: the numbers that a name can get, and the table of names that all processes of a server share.

The candidates of a name follow from the name alone, so processes without a common server mostly agree on its number. If
two names have the same first candidate, the table decides which one gets it.

Layout of the table: 256 entries of NAME_BYTES bytes. An entry has the length of the name (0: no name), then the name.
One process at a time writes the table, and others may read it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zlib import crc32

from heliograph.exceptions import NoSignalAvailable, SignalNameError, SignalTypeError
from heliograph.models import SIGNALS

NAME_BYTES = 64
NAMES_BYTES = SIGNALS * NAME_BYTES
MAX_NAME_BYTES = NAME_BYTES - 1
"""Maximum length of a name in bytes of UTF-8."""

FORMAT_VERSION = 1
"""Version of the format of the table. Increase it when the meaning of a byte changes."""

_FIRST_AUTOMATIC = 64
"""First number that names get. Applications write the smaller ones, and `Signal()` takes them first."""


def check_name(name: object) -> str:
    """Validate a name: 1 to 63 bytes of printable text. Return it as a plain `str`.

    Raises:
        SignalTypeError: if it is not a `str`.
        SignalNameError: if it is empty, too long or not printable.
    """
    if not isinstance(name, str):
        raise SignalTypeError(f"a signal's name is a str, not {name!r} ({type(name).__name__})", name)
    if not name or not name.isprintable():
        raise SignalNameError(name, "it is empty or not printable. Use printable text")
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        raise SignalNameError(name, f"it has {size} bytes of UTF-8. Use at most {MAX_NAME_BYTES}")
    return str.__str__(name)  # a member of an enum becomes a plain str


def candidates(name: str) -> Iterator[int]:
    """Yield all 256 numbers in the order in which a name gets them, which is the same in every process and run."""
    span = SIGNALS - _FIRST_AUTOMATIC
    start = crc32(name.encode())  # not hash(), which differs between interpreters
    for step in range(span):
        yield _FIRST_AUTOMATIC + (start + step) % span
    yield from reversed(range(_FIRST_AUTOMATIC))


def first_candidate(name: str, free: Callable[[int], bool]) -> int:
    """Return the first candidate that is free. Raises: NoSignalAvailable if none is."""
    for num in candidates(name):
        if free(num):
            return num
    raise NoSignalAvailable


class NameTable:
    """Reads and writes a table of NAMES_BYTES bytes. A table of zeros is empty."""

    def __init__(self, buffer: memoryview) -> None:
        self._bytes = buffer.cast("B")[:NAMES_BYTES]

    def __getitem__(self, num: int) -> str:
        """Return the name of a number, or an empty string."""
        entry = self._bytes[num * NAME_BYTES : (num + 1) * NAME_BYTES]
        return bytes(entry[1 : 1 + entry[0]]).decode(errors="ignore")

    def __setitem__(self, num: int, name: str) -> None:
        entry, text = self._bytes[num * NAME_BYTES : (num + 1) * NAME_BYTES], name.encode()
        entry[1 : 1 + len(text)] = text
        entry[0] = len(text)  # last, so that a reader sees all of the name or none of it, also if the writer is killed

    def find(self, name: str) -> int | None:
        """Return the number that has the name, or None."""
        return next((num for num in candidates(name) if self[num] == name), None)
