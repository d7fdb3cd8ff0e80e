"""The table of routes that all processes of a server share: target, handler and options of each number.

Layout: 256 entries of ROUTE_BYTES bytes. An entry has flags (1 registered, 2 never redelivered, 4 may be sent from
outside, 8 wakes a process for its tasks), the length of the target, the length of the handler's name, a version that
each write increases, and the two texts at fixed places. One process at a time writes a table: the master, or the
process that loads the application. Others may read it meanwhile: the version is odd while an entry is being written.
"""

from __future__ import annotations

from typing import NamedTuple

from heliograph.models import SIGNALS

ROUTE_BYTES = 256
TABLE_BYTES = SIGNALS * ROUTE_BYTES

FORMAT_VERSION = 3
"""Version of the format of the table. Increase it when the meaning of a byte changes."""

_REGISTERED, _ONCE, _REMOTE, _WAKEUP = 1, 2, 4, 8
_VERSION, _TARGET, _NAME = 3, 8, 72
_MAX_ATTEMPTS = 10_000
"""Attempts to read an entry while it is being written, which takes microseconds. Then its writer was killed."""


class Route(NamedTuple):
    """Target, name of the handler (cut if it is very long) and options of a registered number."""

    target: str
    handler: str
    redeliver: bool = True
    remote: bool = False
    wakeup: bool = False


class Routes:
    """Reads and writes a table of TABLE_BYTES bytes. A table of zeros is empty."""

    def __init__(self, buffer: memoryview) -> None:
        self._bytes = buffer.cast("B")[:TABLE_BYTES]

    def __getitem__(self, num: int) -> Route | None:
        entry = self._read(num)
        if not entry[0] & _REGISTERED:
            return None
        target = entry[_TARGET : _TARGET + entry[1]].decode()
        handler = entry[_NAME : _NAME + entry[2]].decode(errors="ignore")
        return Route(target, handler, not entry[0] & _ONCE, bool(entry[0] & _REMOTE), bool(entry[0] & _WAKEUP))

    def wakeups(self) -> tuple[int, ...]:
        """Return the numbers that wake processes for their tasks. Without tasks there are none."""
        return tuple(num for num in range(SIGNALS) if self._bytes[num * ROUTE_BYTES] & _WAKEUP)

    def wakeup_named(self, name: str) -> int | None:
        """Return the number of the wake-up whose handler has that name. None: there is none."""
        return next((num for num in self.wakeups() if (route := self[num]) is not None and route.handler == name), None)

    def __setitem__(self, num: int, route: Route) -> None:
        target, handler = route.target.encode(), route.handler.encode()[: ROUTE_BYTES - _NAME]
        entry = bytearray(ROUTE_BYTES)
        flags = (_REGISTERED, not route.redeliver and _ONCE, route.remote and _REMOTE, route.wakeup and _WAKEUP)
        entry[0] = sum(flags)
        entry[1], entry[2] = len(target), len(handler)
        entry[_TARGET : _TARGET + len(target)] = target
        entry[_NAME : _NAME + len(handler)] = handler
        self._write(num, entry)

    def copy_from(self, other: Routes) -> None:
        """Replace all routes with the routes of another table."""
        for num in range(SIGNALS):
            self._write(num, bytearray(other._read(num)))

    def clear(self) -> None:
        """Remove all routes."""
        for num in range(SIGNALS):
            self._write(num, bytearray(ROUTE_BYTES))

    def _read(self, num: int) -> bytes:
        """Return the bytes of an entry, as one write has left them."""
        place = slice(num * ROUTE_BYTES, (num + 1) * ROUTE_BYTES)
        version = num * ROUTE_BYTES + _VERSION
        for _ in range(_MAX_ATTEMPTS):
            entry = bytes(self._bytes[place])
            if not entry[_VERSION] & 1 and self._bytes[version] == entry[_VERSION]:
                return entry
        return bytes(self._bytes[place])

    def _write(self, num: int, entry: bytearray) -> None:
        start = num * ROUTE_BYTES
        entry[_VERSION] = self._bytes[start + _VERSION]
        if bytes(self._bytes[start : start + ROUTE_BYTES]) == bytes(entry) and not entry[_VERSION] & 1:
            return
        version = entry[_VERSION] = entry[_VERSION] | 1
        self._bytes[start + _VERSION] = version
        self._bytes[start : start + ROUTE_BYTES] = entry
        self._bytes[start + _VERSION] = (version + 1) % 256
