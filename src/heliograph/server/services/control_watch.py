"""Notices that the control socket or its lock was removed, and restores them.

Programs that clean up /tmp remove both, and systemd removes `XDG_RUNTIME_DIR` when its user logs out. Then no command
and no process of a web server would reach the master any more, and a second server could take the name.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections.abc import Callable

from heliograph._core.supervision.events import Event, Exited, ReloadRequested, Started
from heliograph.exceptions import ConfigError, ScheduleError
from heliograph.ipc.instance import InstanceLock
from heliograph.loop import NEVER, Loop, Selector, Service
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.services.control import ControlServer
from heliograph.watching.inotify import ITSELF, UNLINKED, Inotify

_LOG = logging.getLogger("heliograph.master")

INITIAL_DELAY, MAX_DELAY = 0.05, 10.0
"""Seconds between a removal and the restoration: at first, and if it is removed again and again, or fails."""
DELAY_RESET_AFTER = 60.0
"""Seconds after a restoration until the next delay is the first one again."""
LOGGED_FAILURE = 4
"""The failure in a row that is logged. A server that starts, and is rejected, holds the lock for a moment."""

_RESTORED = "The control socket or its lock was removed, restored: %s"
_FAILED = (
    "Cannot restore the control socket: %s Commands, and processes that join, do not reach this server. It tries "
    "again. To stop it: kill %d"
)


def open_control_socket(
    loop: Loop, dispatcher: Dispatcher, lock: InstanceLock, make: Callable[[Selector], ControlServer]
) -> ControlServer:
    """Add the server that `make` returns to the loop, and restore its socket when the file is removed."""
    server = loop.open("control socket", make)
    watch = loop.open("watch of the control socket", lambda selector: ControlWatch(selector, lock, server))
    dispatcher.observe(watch.observe)
    return server


class ControlWatch(Service):
    """Watches the files by inotify. Without it they are checked at intervals."""

    def __init__(
        self,
        selector: Selector,
        lock: InstanceLock,
        server: ControlServer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._selector = selector
        self._lock = lock
        self._server = server
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
        return self._server.is_in_place() and self._lock.is_in_place()

    def _restore(self, now: float) -> bool:
        """Lock and listen again. The lock comes first: another server has the name if it has the lock."""
        if now - self._restored_at > DELAY_RESET_AFTER and not self._failures:
            self._delay = INITIAL_DELAY
        self._delay = min(self._delay * 2, MAX_DELAY)
        try:
            self._lock.take_again()
            self._server.listen_again()
        except (ConfigError, OSError) as error:
            self._failures += 1
            if self._failures == LOGGED_FAILURE:
                reason = str(error) if isinstance(error, ConfigError) else f"{error.strerror or error}."
                _LOG.error(_FAILED, reason, os.getpid())
            self._check_at = now + self._delay
            return False
        self._failures, self._restored_at = 0, now
        _LOG.warning(_RESTORED, self._server.path)
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
            for path in self._server.path, self._lock.path:
                watch.add(os.path.realpath(path.parent), ITSELF)
                watch.add(str(path.absolute()), UNLINKED)
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
