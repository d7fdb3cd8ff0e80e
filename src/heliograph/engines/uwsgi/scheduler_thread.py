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

from heliograph._core.schedule.pending_runs import PendingRuns
from heliograph._core.schedule.schedule import ClockReading, Schedule
from heliograph.exceptions import ScheduleError, SignalQueueFull, UwsgiconfException
from heliograph.models import FileMonitor, Trigger
from heliograph.timing.clocks import clock_reading
from heliograph.timing.rules import next_fire

if TYPE_CHECKING:
    from heliograph.watching import Watcher

_LOG = logging.getLogger("heliograph.uwsgi")

_LOG_EVERY = 60.0
"""Seconds between two log lines about runs that wait for room."""


class SchedulerThread:
    """Raises the signals of sources, in a daemon thread that starts with the first."""

    def __init__(self, raise_signal: Callable[[int], None], now: Callable[[], ClockReading] = clock_reading) -> None:
        """`raise_signal(num)` does not wait, and raises `SignalQueueFull` where it would have to."""
        self._now = now
        self._raise = raise_signal
        self._schedule = Schedule(next_fire, random.random)
        # The kernel tells how many signals wait, not which: every tick queues, as long as there is room.
        self._runs = PendingRuns(self._schedule, self._raise_if_room, is_queued=lambda _num: False)
        self._said_at = -math.inf
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, trigger: Trigger) -> None:
        """Raise this source's signal from now on."""
        with self._lock:
            self._schedule.add(trigger, self._now())
            if isinstance(trigger.spec, FileMonitor):
                self._watch(trigger, trigger.spec)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heliograph-ticker", daemon=True)
            self._thread.start()
        self._wake()

    def remove(self, name: str) -> None:
        """Raise it no more."""
        with self._lock:
            self._schedule.remove(name)
            self._runs.forget(name)
            if self._watcher is not None:
                self._watcher.unwatch(name)

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, from now."""
        with self._lock:
            self._schedule.change_period(name, period, self._now())
        self._wake()

    def _watch(self, trigger: Trigger, what: FileMonitor) -> None:
        from heliograph.watching import Watcher as NewWatcher  # noqa: PLC0415 - only who has monitors pays

        try:
            if self._watcher is None:
                self._watcher = NewWatcher()
            # It was looked for when it was declared. What is not there when worker 1 is started again may come back.
            self._watcher.watch(what.path, recursive=what.recursive, missing_ok=True, key=trigger.name)
        except ScheduleError as error:
            _LOG.error("%s is not watched for signal %d: %s", what.path, trigger.num, error)

    def tick(self) -> None:
        """Raise what is owed, what is due, and what was told of files."""
        with self._lock:
            self._runs.tick(self._now())
            for name in self._watcher.changed() if self._watcher is not None else ():
                self._runs.add(str(name))
            self._tell_what_waits()

    def _run(self) -> None:
        while True:
            self._sleep()
            self.tick()

    def _sleep(self) -> None:
        """Until something is due, a file has changed, or another source came in."""
        with self._lock:
            wait = self._runs.wait(self._now())
            watched = [self._watcher.fileno()] if self._watcher is not None else []
        poll = select.poll()
        for fd in (self._wake_read, *watched):
            poll.register(fd, select.POLLIN)
        if not poll.poll(None if math.isinf(wait) else math.floor(wait * 1000)):
            self._sleep_the_rest()
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _sleep_the_rest(self) -> None:
        """`poll` knows whole milliseconds only, and would be late by up to one."""
        with self._lock:
            wait = self._runs.wait(self._now())
        time.sleep(min(wait, 0.001))

    def _raise_if_room(self, num: int) -> bool:
        try:
            self._raise(num)
        except SignalQueueFull:
            return False
        except UwsgiconfException as error:
            _LOG.warning("a run was missed: %s", error)
        return True

    def _tell_what_waits(self) -> None:
        """On our own server `heliograph signals` tells; here nothing else would."""
        owed, now = self._runs.deferred, self._now().monotonic
        if owed and now - self._said_at >= _LOG_EVERY:
            self._said_at = now
            _LOG.warning("runs are put off until there is room in a full queue: %s", ", ".join(owed))

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")
