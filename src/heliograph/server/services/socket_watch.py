"""Notices that the file of a Unix socket, or another one that belongs to it, was removed, and restores it.

Programs that clean up /tmp remove such files, and systemd removes `XDG_RUNTIME_DIR` when its user logs out. Then no
program would reach the server any more.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph._core.supervision.events import Event, Exited, ReloadRequested, Started
from heliograph.exceptions import ConfigError, ScheduleError
from heliograph.loop import NEVER, Selector, Service
from heliograph.watching.inotify import ITSELF, UNLINKED, Inotify

_LOG = logging.getLogger("heliograph.master")

INITIAL_DELAY, MAX_DELAY = 0.05, 10.0
"""Seconds between a removal and the restoration: at first, and if it is removed again and again, or fails."""
DELAY_RESET_AFTER = 60.0
"""Seconds after a restoration until the next delay is the first one again."""
LOGGED_FAILURE = 4
"""The failure in a row that is logged. A server that starts, and is rejected, holds the lock for a moment."""


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file that is restored when it was removed."""

    path: Path
    is_in_place: Callable[[], bool]
    """Returns True if programs that use the path reach this server."""
    restore: Callable[[], None]
    """Creates the file again if it was removed. Raises: ConfigError, OSError: that is not possible now."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The lines of the log."""

    restored: str
    failed: str
    """It has a place for the reason, `%s`."""


class SocketWatch(Service):
    """Watches files by inotify. Without it they are checked at intervals."""

    def __init__(
        self,
        selector: Selector,
        files: Sequence[WatchedFile],
        texts: Texts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch the files. They are restored in this order."""
        self._selector = selector
        self._files = files
        self._texts = texts
        self._clock = clock
        self._check_at = NEVER
        self._delay = INITIAL_DELAY
        self._restored_at = -NEVER
        self._failures = 0
        self._inotify: Inotify | None = None
        self._open()

    @property
    def deadline(self) -> float:
        return self._check_at

    def tick(self, now: float) -> None:
        if now < self._check_at:
            return
        self._check_at = NEVER
        if self._is_in_place():
            self._failures = 0
        elif not self._restore(now):
            return
        if self._inotify is None:
            self._check_at = now + MAX_DELAY

    def observe(self, event: Event) -> None:
        """Check at a reload, and when a process starts or exits: inotify does not report each way to remove a file."""
        if isinstance(event, (ReloadRequested, Started, Exited)):
            self._check_soon(self._clock())

    def restart(self) -> None:
        self.close()
        self._open()
        self._check_at = self._clock()

    def close(self) -> None:
        if self._inotify is not None:
            self._selector.unregister(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _is_in_place(self) -> bool:
        return all(file.is_in_place() for file in self._files)

    def _restore(self, now: float) -> bool:
        if now - self._restored_at > DELAY_RESET_AFTER and not self._failures:
            self._delay = INITIAL_DELAY
        self._delay = min(self._delay * 2, MAX_DELAY)
        try:
            for file in self._files:
                file.restore()
        except (ConfigError, OSError) as error:
            self._failures += 1
            if self._failures == LOGGED_FAILURE:
                reason = str(error) if isinstance(error, ConfigError) else f"{error.strerror or error}."
                _LOG.error(self._texts.failed, reason)
            self._check_at = now + self._delay
            return False
        self._failures, self._restored_at = 0, now
        _LOG.warning("%s", self._texts.restored)
        self.close()
        self._open()
        return True

    def _open(self) -> None:
        """Watch the files. They may have been removed between their creation and the first watch."""
        self._check_soon(self._clock())
        try:
            watch = Inotify()
        except ScheduleError:
            return
        try:
            self._selector.register(watch.fileno(), selectors.EVENT_READ, self._on_event)
        except OSError:
            watch.close()
            return
        self._inotify = watch
        try:
            for file in self._files:
                watch.add(os.path.realpath(file.path.parent), ITSELF)
                watch.add(str(file.path.absolute()), UNLINKED)
        except FileNotFoundError:
            return
        except (ScheduleError, OSError):
            self.close()

    def _on_event(self, now: float) -> None:
        if self._inotify is not None:
            self._inotify.read()
        self._check_soon(now)

    def _check_soon(self, now: float) -> None:
        if not self._failures:
            recent = now - self._restored_at <= DELAY_RESET_AFTER
            self._check_at = min(self._check_at, now + (self._delay if recent else INITIAL_DELAY))
