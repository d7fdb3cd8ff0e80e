"""The master's event loop: one selector, one clock, and the services that run on it.

A service owns its descriptors, its deadline and its end. It never blocks, and it knows no other service. An error of a
service does not leave the loop: the loop logs it, leaves that service out for a while, and restarts it.
"""

from __future__ import annotations

import errno
import logging
import selectors
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from heliograph.models import MAX_WAIT

_LOG = logging.getLogger("heliograph.master")

NEVER = float("inf")
"""The deadline of a service that waits for nothing."""

INITIAL_PAUSE, MAX_PAUSE = 0.1, 10.0
"""Seconds until a service that failed is restarted: the first pause, which doubles, and the longest."""
PAUSE_RESET_AFTER = 60.0
"""Seconds without an error after which the next pause is the first one again."""

_LACK = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC})
"""Errors that pass: the process, the user or the machine has no memory or descriptor left for a while."""

_MILLISECOND = 0.001
Callback = Callable[[float], None]
"""Called with the time of the loop's clock when a descriptor is ready."""


class Selector(Protocol):
    """Registers the descriptors of a service. `selectors.BaseSelector` is one too."""

    def register(self, fileobj: Any, events: int, data: Callback) -> object:
        """Call `data` when the descriptor is ready for one of `events` (`selectors.EVENT_READ`, `EVENT_WRITE`)."""
        ...

    def modify(self, fileobj: Any, events: int, data: Callback) -> object:
        """Wait for other events, or call another function."""
        ...

    def unregister(self, fileobj: Any) -> object:
        """Stop waiting for a descriptor. Call it before the descriptor is closed."""
        ...


class Service:
    """Base class of the services that run on a loop."""

    @property
    def deadline(self) -> float:
        """Time on the loop's clock at which `tick` must be called at the latest."""
        return NEVER

    def tick(self, now: float) -> None:
        """Do the work of the deadline that has passed."""

    def restart(self) -> None:
        """Return to a working state after an error. If this raises, the loop closes the service for good.

        Exception: `OSError` for a lack of memory or descriptors. Then the loop tries again later.
        """

    def close(self) -> None:
        """Unregister and close the descriptors."""


S = TypeVar("S", bound=Service)


@dataclass(slots=True)
class _Watch:
    fileobj: Any
    events: int
    callback: Callback


@dataclass(slots=True)
class _Entry:
    """A service on the loop, and the descriptors that it has registered. It is the service's `Selector`."""

    name: str
    selector: selectors.BaseSelector
    service: Service = field(default_factory=Service)
    watches: dict[int, _Watch] = field(default_factory=dict[int, _Watch])
    paused_until: float | None = None
    failures: int = 0
    failed_at: float = -NEVER

    def register(self, fileobj: Any, events: int, data: Callback) -> None:
        watch = _Watch(fileobj, events, data)
        if self.paused_until is None:
            self.selector.register(fileobj, events, (self, watch))
        self.watches[_fileno(fileobj)] = watch

    def modify(self, fileobj: Any, events: int, data: Callback) -> None:
        watch = _Watch(fileobj, events, data)
        if self.paused_until is None:
            self.selector.modify(fileobj, events, (self, watch))
        self.watches[_fileno(fileobj)] = watch

    def unregister(self, fileobj: Any) -> None:
        del self.watches[_fileno(fileobj)]
        if self.paused_until is None:
            self.selector.unregister(fileobj)

    def pause(self, until: float) -> None:
        """Leave the service out until then."""
        for fd in self.watches:
            self.selector.unregister(fd)
        self.paused_until = until

    def resume(self) -> None:
        """Wait for the descriptors again. If one cannot be registered, wait for none of them."""
        with ExitStack() as registered:
            for watch in self.watches.values():
                self.selector.register(watch.fileobj, watch.events, (self, watch))
                registered.callback(self.selector.unregister, watch.fileobj)
            registered.pop_all()
        self.paused_until = None

    def drop_watches(self) -> None:
        """Stop waiting for descriptors that a failed service has left registered."""
        for fd in self.watches:
            # The service may have closed it, or be paused.
            with suppress(KeyError, ValueError):
                self.selector.unregister(fd)
        self.watches.clear()


class Loop:
    """Waits for descriptors and deadlines, and calls the services."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._entries: list[_Entry] = []
        self._code: int | None = None
        self._stack = ExitStack()
        self._stack.callback(self._selector.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self, name: str, make: Callable[[Selector], S]) -> S:
        """Add the service that `make` returns. `make` gets the selector for the service's descriptors.

        If `make` raises, the descriptors that it has registered are dropped from the loop.
        """
        entry = _Entry(name, self._selector)
        try:
            service = make(entry)
        except BaseException:
            entry.drop_watches()
            raise
        entry.service = service
        self._entries.append(entry)
        self._stack.callback(self._close, entry)
        return service

    def run(self) -> int:
        """Run the services until `stop` is called, and return its exit code."""
        while self._code is None:
            self.run_once()
        return self._code

    def stop(self, code: int) -> None:
        """Let `run` return after the current round."""
        self._code = code

    @property
    def code(self) -> int | None:
        """The exit code given to `stop`. None before."""
        return self._code

    def close(self) -> None:
        """Close the services, the last one first."""
        self._stack.close()
        self._entries.clear()

    def run_once(self) -> None:
        """Wait until a descriptor is ready or a deadline has passed, then call the services that this concerns."""
        # A deadline may be relative to the time of the question, so it is asked for once a round.
        deadlines = [(entry, self._deadline(entry)) for entry in self._entries]
        deadline = min((deadline for _, deadline in deadlines), default=NEVER)
        ready = self._selector.select(_timeout(deadline, self._clock()))
        # A deadline that passes during the callbacks waits for the next round: a slow callback must not let a client
        # time out whose request is there.
        now = self._clock()
        for key, _ in ready:
            entry, watch = key.data
            # An earlier callback of this round may have unregistered it, or failed.
            if entry.watches.get(key.fd) is watch and entry.paused_until is None:
                self._guard(entry, watch.callback, self._clock())
        for entry, deadline in deadlines:
            if deadline > now:
                continue
            if entry.paused_until is None:
                self._guard(entry, entry.service.tick, now)
            elif entry.paused_until <= now:
                self._restart(entry)

    def _deadline(self, entry: _Entry) -> float:
        if entry.paused_until is None:
            try:
                return entry.service.deadline
            except Exception:  # noqa: BLE001 - logged, and the loop goes on
                self._fail(entry)
        return entry.paused_until if entry.paused_until is not None else NEVER

    def _guard(self, entry: _Entry, callback: Callback, now: float) -> None:
        try:
            callback(now)
        except Exception:  # noqa: BLE001 - logged, and the loop goes on
            self._fail(entry)

    def _fail(self, entry: _Entry) -> None:
        """Log the error, and leave the service out for a while: an error that repeats must not keep the loop busy."""
        now = self._clock()
        entry.failures = entry.failures + 1 if now < entry.failed_at + PAUSE_RESET_AFTER else 1
        entry.failed_at = now
        pause = min(INITIAL_PAUSE * 2 ** (entry.failures - 1), MAX_PAUSE)
        _LOG.exception("Service %r failed, restarting it in %g s", entry.name, pause)
        if entry.paused_until is None:
            entry.pause(now + pause)
        entry.paused_until = now + pause

    def _restart(self, entry: _Entry) -> None:
        try:
            entry.service.restart()
            entry.resume()
        except Exception as error:  # noqa: BLE001 - logged, and the loop goes on
            if isinstance(error, OSError) and error.errno in _LACK:
                self._fail(entry)
                return
            _LOG.exception("Cannot restart service %r, continuing without it", entry.name)
            self._entries.remove(entry)
            self._close(entry)

    def _close(self, entry: _Entry) -> None:
        try:
            entry.service.close()
        except Exception:  # noqa: BLE001 - logged, and the loop goes on
            _LOG.exception("Cannot close service %r", entry.name)
        entry.drop_watches()
        entry.service = Service()


def _fileno(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def _timeout(deadline: float, now: float) -> float | None:
    """Return the seconds to select for. None: until a descriptor is ready.

    The kernel rounds up to whole milliseconds, so the last fraction of one is slept here.
    """
    if deadline == NEVER:
        return None
    left = min(max(0.0, deadline - now), MAX_WAIT)
    if left >= _MILLISECOND:
        return left - left % _MILLISECOND
    time.sleep(left)
    return 0.0
