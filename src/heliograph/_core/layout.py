"""The layout of the memory that the processes of a server share: a header, then named segments.

Each segment has a name, an offset, a length and the version of its own format. A new figure is a new counter or a new
segment, and both change the header. A process compares the header that it finds with the one that its own code would
write. If they differ, it refuses the memory instead of reading one figure as another.

Header, in native byte order: magic, layout version, number of segments, size of the whole, then one entry a segment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Self

from heliograph._core.signals import names, records, routes, wakeups
from heliograph._core.stats import activity, counters, durations
from heliograph.exceptions import ConfigError
from heliograph.models import SIGNALS, Topology

MAGIC = b"helio\0mm"
VERSION = 1
"""Version of the header itself. Each segment has a version of its own."""

ALIGNMENT = 64
"""Bytes. Segments begin on a cache line, so that the writers of two segments do not share one."""

MAX_SENDER_ONLY = 512
"""Counter slots for processes that only send signals: the application or the web server started them. The kernel gives
memory to those that have been used."""

_PREFIX = struct.Struct("=8sIIQ")
_ENTRY = struct.Struct("=24sI4xQQ")
_MAX_NAME_BYTES = 24

_LOCKS_VERSION = _PRESENT_VERSION = _PARKED_VERSION = _SENDER_ONLY_VERSION = _GENERATIONS_VERSION = 1


class IncompatibleServer(ConfigError):
    """This process and the running server have incompatible versions of the code."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            "this process runs another version of heliograph than the running server "
            f"({difference}): restart the server, a reload is not enough"
        )
        self.difference = difference


class Segment(NamedTuple):
    """A named part of the memory. Offset and length are in bytes."""

    name: str
    offset: int
    length: int
    version: int

    @property
    def end(self) -> int:
        """The offset of the first byte after the segment."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Layout:
    """The segments of a server's memory, in the order of their offsets."""

    segments: tuple[Segment, ...]
    size: int
    """Bytes of the whole memory, the header included."""

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """Return the layout that this code uses for a server of that topology."""
        return cls.place(_requests(topology))

    @classmethod
    def place(cls, requests: Iterable[tuple[str, int, int]]) -> Self:
        """Place segments, given as name, length and version, one after the other behind the header."""
        wanted = tuple(requests)
        offset = _align(_PREFIX.size + len(wanted) * _ENTRY.size)
        segments: list[Segment] = []
        for name, length, version in wanted:
            assert len(name.encode()) <= _MAX_NAME_BYTES
            segments.append(Segment(name, offset, length, version))
            offset = _align(offset + length)
        return cls(tuple(segments), offset)

    def __getitem__(self, name: str) -> Segment:
        """Return the segment of that name. Raises: KeyError."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        raise KeyError(name)

    @property
    def header_bytes(self) -> int:
        """Length of the header in bytes."""
        return _PREFIX.size + len(self.segments) * _ENTRY.size

    def header(self) -> bytes:
        """Return the header, which is what a process writes at the beginning of new memory."""
        prefix = _PREFIX.pack(MAGIC, VERSION, len(self.segments), self.size)
        entries = (_ENTRY.pack(s.name.encode(), s.version, s.offset, s.length) for s in self.segments)
        return prefix + b"".join(entries)

    def check(self, found: bytes, size: int) -> None:
        """Compare the beginning of existing memory, and its size in bytes, with this layout.

        Raises:
            IncompatibleServer: if another version of the code made that memory, or a server of another topology.
        """
        if found[: self.header_bytes] != self.header():
            raise IncompatibleServer(self._difference(found))
        if size != self.size:
            raise IncompatibleServer(f"shared memory of {size} bytes instead of {self.size}")

    def _difference(self, found: bytes) -> str:
        """Name what differs in a header, which may be of any version or none at all."""
        if len(found) < _PREFIX.size:
            return "shared memory without a header"
        magic, version, count, _ = _PREFIX.unpack_from(found)
        if magic != MAGIC:
            return "shared memory without a header"
        if version != VERSION:
            return f"layout version {version} instead of {VERSION} of the shared memory"
        theirs = _read_entries(found, count)
        ours = [(segment.name, segment.length, segment.version) for segment in self.segments]
        changed = dict.fromkeys(name for name, *_ in chain(theirs, ours) if _rows(theirs, name) != _rows(ours, name))
        listed = ", ".join(changed) or "the order of the segments"
        return f"another layout of the shared memory: {listed}"


def _requests(topology: Topology) -> tuple[tuple[str, int, int], ...]:
    """Return name, length and version of each segment that a server of that topology needs."""
    processes = len(topology.processes()) + 1  # the master has counters and an in-flight buffer, too
    return (
        ("routes.live", routes.TABLE_BYTES, routes.FORMAT_VERSION),
        ("routes.staged", routes.TABLE_BYTES, routes.FORMAT_VERSION),
        ("counters", (processes + MAX_SENDER_ONLY) * counters.SLOT_BYTES, counters.FORMAT_VERSION),
        # Number of sender-only slots that have been claimed so far.
        ("sender_only", 8, _SENDER_ONLY_VERSION),
        ("in_flight", processes * records.IN_FLIGHT_SLOT_BYTES, records.FORMAT_VERSION),
        # The master runs no handlers.
        ("durations", (processes - 1) * durations.DURATION_BYTES, durations.FORMAT_VERSION),
        ("activity", (processes - 1) * activity.ACTIVITY_BYTES, activity.FORMAT_VERSION),
        ("wakeups", wakeups.WAKEUP_BYTES, wakeups.FORMAT_VERSION),
        # One byte a process and signal: 1 while a run that includes further signals of that number is about to start.
        ("parked", processes * SIGNALS, _PARKED_VERSION),
        ("names", names.NAMES_BYTES, names.FORMAT_VERSION),
        # The first and the last generation of the code that has each name.
        ("name_generations", 2 * SIGNALS * 8, _GENERATIONS_VERSION),
        ("present", topology.workers, _PRESENT_VERSION),
        # Record locks of the kernel: one byte for each sender-only slot, one for allocating names.
        ("locks", MAX_SENDER_ONLY + 1, _LOCKS_VERSION),
    )


def _read_entries(found: bytes, count: int) -> list[tuple[str, int, int]]:
    """Return name, length and version of each segment in a header, as far as it was read."""
    entries: list[tuple[str, int, int]] = []
    for number in range(count):
        start = _PREFIX.size + number * _ENTRY.size
        if start + _ENTRY.size > len(found):
            break
        name, version, _, length = _ENTRY.unpack_from(found, start)
        entries.append((name.rstrip(b"\0").decode(errors="replace"), length, version))
    return entries


def _rows(entries: Iterable[tuple[str, int, int]], name: str) -> list[tuple[str, int, int]]:
    return [entry for entry in entries if entry[0] == name]


def _align(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
