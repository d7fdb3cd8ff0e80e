"""What raises signals by itself on uWSGI: a thread of worker 1, on the same schedule as our own server's master.

uWSGI's own timers know whole seconds only, its cron neither zones nor clock changes, its file monitors one inode, and
it has 64 places for each (`core/signal.c`, `core/cron.c`). So none of them is used. Worker 1 is there on every
server, once, and is started again when it ends; a timer's grid then starts anew.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from heliograph._core.schedule import Moment, Schedule
from heliograph.engines.rules import next_fire
from heliograph.exceptions import ScheduleError, UwsgiconfException
from heliograph.values import FileMonitor, Source

if TYPE_CHECKING:
    from heliograph.watching import Watcher

_LOG = logging.getLogger("heliograph.uwsgi")


class Ticker:
    """Raises the signals of sources, in a daemon thread that starts with the first."""

    def __init__(self, raise_signal: Callable[[int], None]) -> None:
        self._raise = raise_signal
        self._schedule = Schedule(next_fire, random.random)
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None
        self._monitors: dict[str, Source] = {}
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, source: Source) -> None:
        """Raise this source's signal from now on."""
        with self._lock:
            self._schedule.add(source, _now())
            if isinstance(source.what, FileMonitor):
                self._watch(source, source.what)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heliograph-ticker", daemon=True)
            self._thread.start()
        self._wake()

    def remove(self, name: str) -> None:
        """Raise it no more."""
        with self._lock:
            self._schedule.remove(name)
            if self._monitors.pop(name, None) is not None and self._watcher is not None:
                self._watcher.unwatch(name)

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, from now."""
        with self._lock:
            self._schedule.change_period(name, period, _now())
        self._wake()

    def _watch(self, source: Source, what: FileMonitor) -> None:
        from heliograph.watching import Watcher as NewWatcher  # noqa: PLC0415 - only who has monitors pays

        try:
            if self._watcher is None:
                self._watcher = NewWatcher()
            # It was looked for when it was declared. What is not there when worker 1 is started again may come back.
            self._watcher.watch(what.path, recursive=what.recursive, missing_ok=True, key=source.name)
        except ScheduleError as error:
            _LOG.error("%s is not watched for signal %d: %s", what.path, source.num, error)
            return
        self._monitors[source.name] = source

    def _run(self) -> None:
        while True:
            with self._lock:
                wait = self._schedule.wait(_now())
                watched = [self._watcher.fileno()] if self._watcher is not None else []
            poll = select.poll()
            for fd in (self._wake_read, *watched):
                poll.register(fd, select.POLLIN)
            if not poll.poll(None if math.isinf(wait) else math.floor(wait * 1000)):
                self._sleep_the_rest()
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            for source in self._due():
                self._fire(source)

    def _sleep_the_rest(self) -> None:
        """`poll` knows whole milliseconds only, and would be late by up to one."""
        with self._lock:
            wait = self._schedule.wait(_now())
        time.sleep(min(wait, 0.001))

    def _due(self) -> list[Source]:
        with self._lock:
            firings = self._schedule.due(_now())
            changed = self._watcher.changed() if self._watcher is not None else []
            touched = [self._monitors[str(name)] for name in changed if str(name) in self._monitors]
        return [firing.source for firing in firings for _ in range(firing.times)] + touched

    def _fire(self, source: Source) -> None:
        try:
            self._raise(source.num)
        except UwsgiconfException as error:
            _LOG.warning("%s missed a run: %s", source.name, error)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")


def _now() -> Moment:
    return Moment(time.monotonic(), time.time())
