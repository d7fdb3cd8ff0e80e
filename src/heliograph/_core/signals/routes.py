"""The table of routes that all processes of a server share: number -> target, and what is promised of it.

Layout: 256 entries of ROUTE_BYTES bytes: flags (1 registered, 2 never redelivered, 4 may
be raised from outside), length of the target, length of
the handler's name, then the texts. One process at a time writes it: the master, or who loads the application.
"""

from __future__ import annotations

from typing import NamedTuple

from heliograph.models import SIGNALS

ROUTE_BYTES = 256
TABLE_BYTES = SIGNALS * ROUTE_BYTES

FORMAT_VERSION = 1
"""Version of the format of the table. Increase it when the meaning of a byte changes."""

_REGISTERED, _ONCE, _REMOTE = 1, 2, 4
_TARGET, _NAME = 8, 72


class Route(NamedTuple):
    """Where a number goes, who handles it (a name, cut if it is very long), and what is promised of it."""

    target: str
    handler: str
    redeliver: bool = True
    remote: bool = False


class Routes:
    """Reads and writes a table of TABLE_BYTES bytes; all zero is an empty one."""

    def __init__(self, buffer: memoryview) -> None:
        self._bytes = buffer.cast("B")[:TABLE_BYTES]

    def __getitem__(self, num: int) -> Route | None:
        entry = self._bytes[num * ROUTE_BYTES : (num + 1) * ROUTE_BYTES]
        if not entry[0] & _REGISTERED:
            return None
        target = bytes(entry[_TARGET : _TARGET + entry[1]]).decode()
        handler = bytes(entry[_NAME : _NAME + entry[2]]).decode(errors="ignore")
        return Route(target, handler, not entry[0] & _ONCE, bool(entry[0] & _REMOTE))

    def __setitem__(self, num: int, route: Route) -> None:
        target, handler = route.target.encode(), route.handler.encode()[: ROUTE_BYTES - _NAME]
        entry = bytearray(ROUTE_BYTES)
        entry[0] = _REGISTERED | (0 if route.redeliver else _ONCE) | (_REMOTE if route.remote else 0)
        entry[1], entry[2] = len(target), len(handler)
        entry[_TARGET : _TARGET + len(target)] = target
        entry[_NAME : _NAME + len(handler)] = handler
        self._bytes[num * ROUTE_BYTES : (num + 1) * ROUTE_BYTES] = entry

    def copy_from(self, other: Routes) -> None:
        """Become a copy of another table."""
        self._bytes[:] = other._bytes

    def clear(self) -> None:
        """Forget all routes."""
        self._bytes[:] = bytes(TABLE_BYTES)
