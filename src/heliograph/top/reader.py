"""The thread that looks at the server, again and again, and connects anew when the server has gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from heliograph.exceptions import ConfigError, StoreError
from heliograph.insights.model import ServerState
from heliograph.top.rates import Look, look_after


class StateReader(Protocol):
    """A connection to a server: `insights.ServerReader`, or a made-up one in tests."""

    def look(self) -> ServerState:
        """Return the present state. Raises: ConfigError: the server does not answer."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


Connect = Callable[[], StateReader]
"""Connects to the server. Raises: ConfigError: it does not run."""


class Watcher:
    """Looks at the server from a thread of its own, so that a slow server does not stop the screen."""

    def __init__(
        self,
        connect: Connect,
        interval: float,
        looked: Callable[[Look], None],
        lost: Callable[[str], None],
    ) -> None:
        """`looked` and `lost` are called in the thread. `interval` are seconds."""
        self._connect = connect
        self._interval = interval
        self._looked = looked
        self._lost = lost
        self._reader: StateReader | None = None
        self._before: ServerState | None = None
        self._stopped = threading.Event()
        self._next = 0.0

    def start(self, first: ServerState | None = None) -> None:
        """Look in each interval. `first` is a look that somebody has just taken."""
        if first is not None:
            self._before = first
            self.postpone()
        threading.Thread(target=self._run, name="heliograph-top", daemon=True).start()

    def stop(self) -> None:
        """Look no more. A look that has begun is not awaited."""
        self._stopped.set()

    def postpone(self) -> None:
        """Look an interval later: another request has just taken the time of the master."""
        self._next = time.monotonic() + self._interval

    def _run(self) -> None:
        while not self._stopped.is_set():
            if (left := self._next - time.monotonic()) > 0:
                self._stopped.wait(left)
                continue
            self.postpone()
            self.look()
        self._close()

    def look(self) -> None:
        """Look once."""
        try:
            if self._reader is None:
                self._reader = self._connect()
            state = self._reader.look()
        except (ConfigError, StoreError, OSError) as error:
            self._close()
            if not self._stopped.is_set():
                self._lost(str(error))
            return
        look, self._before = look_after(self._before, state), state
        if not self._stopped.is_set():
            self._looked(look)

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
