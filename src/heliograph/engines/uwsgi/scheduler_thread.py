"""The host of the scheduler on uWSGI: a thread of worker 1.

heliograph does not use uWSGI's own triggers. Its timers take whole seconds, its cron rules have no time zones and do
not handle clock changes, its file monitors follow one inode, and there are 64 of each (`core/signal.c`, `core/cron.c`).
Every server with workers has worker 1 once, and uWSGI restarts it. The timers then start again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from heliograph._core.schedule.schedule import ClockReading
from heliograph.exceptions import SignalQueueFull, UwsgiconfException
from heliograph.models import FileMonitor, Trigger
from heliograph.timing.clocks import clock_reading
from heliograph.triggers.scheduler import Scheduler, SchedulerHost

_LOG = logging.getLogger("heliograph.uwsgi")

_LOG_INTERVAL = 60.0
"""Seconds between two log lines about deferred runs."""

_MAX_SLEEP = 3600.0
"""Seconds between two looks at the clock. `poll` takes no more than 2^31 milliseconds."""


class SchedulerThread:
    """Drives a scheduler in a daemon thread, which starts with the first trigger."""

    def __init__(self, send_signal: Callable[[int], None], now: Callable[[], ClockReading] = clock_reading) -> None:
        """`send_signal(num)` does not block. It raises `SignalQueueFull` if there is no space."""
        self._now = now
        self._send = send_signal
        # The kernel reports how many signals are queued, not which. So every run is queued while there is space.
        self._scheduler = Scheduler(self._send_if_space, lambda _num: False, SchedulerHost(_LOG, now))
        self._logged_at = -math.inf
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.on_clock_set: Callable[[], None] = lambda: None
        """Called in the thread when the wall clock was set."""
        self._others: dict[int, Callable[[], None]] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, trigger: Trigger) -> None:
        """Send the signal of this trigger from now on."""
        if isinstance(trigger.spec, FileMonitor):
            # The path was checked when it was registered. When uWSGI restarts worker 1, the path may be gone for now.
            trigger = replace(trigger, spec=replace(trigger.spec, missing_ok=True))
        with self._lock:
            self._scheduler.add(trigger)
        self._start()

    def wake_at(self, num: int, when: float) -> None:
        """Send the wake-up `num` when the wall clock reaches `when`, in seconds since 1970, or earlier if asked to."""
        with self._lock:
            self._scheduler.wake_at(num, when)
        self._start()

    def listen(self, descriptor: int, read: Callable[[], None]) -> None:
        """Call `read()` in the thread when the descriptor is readable."""
        self._others[descriptor] = read
        self._start()

    def remove(self, name: str) -> None:
        """Stop sending the signal of this trigger."""
        with self._lock:
            self._scheduler.remove(name)

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, from now on."""
        with self._lock:
            self._scheduler.change_period(name, period)
        self._wake()

    def tick(self) -> None:
        """Send the signals that are deferred or due, and those of changed files."""
        with self._lock:
            self._scheduler.tick()
            self._scheduler.read_changes()
            self._log_deferred()

    def _start(self) -> None:
        """Start the thread, or let it look again at what it waits for."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heliograph-scheduler", daemon=True)
            self._thread.start()
        self._wake()

    def _run(self) -> None:
        while True:
            self._sleep()
            self.tick()

    def _sleep(self) -> None:
        """Sleep until a trigger is due, a file has changed, or the triggers have changed."""
        with self._lock:
            wait, watch_fd = min(self._scheduler.wait(), _MAX_SLEEP), self._scheduler.watch_fd
            clock_fd = self._scheduler.clock_fd
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if watch_fd is not None:
            poll.register(watch_fd, select.POLLIN)
        if clock_fd is not None:
            poll.register(clock_fd, select.POLLIN)
        for descriptor in self._others:
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(math.floor(wait * 1000))
        if not ready:
            self._sleep_rest()
        for descriptor, _ in ready:
            if descriptor in self._others:
                self._others[descriptor]()
            elif descriptor == clock_fd and self._scheduler.read_clock():
                self.on_clock_set()
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _sleep_rest(self) -> None:
        """Sleep the last fraction of a millisecond, since `poll` takes whole milliseconds."""
        with self._lock:
            wait = self._scheduler.wait()
        time.sleep(min(wait, 0.001))

    def _send_if_space(self, num: int) -> bool:
        try:
            self._send(num)
        except SignalQueueFull:
            return False
        except UwsgiconfException as error:
            _LOG.warning("Missed a run: %s", error)
        return True

    def _log_deferred(self) -> None:
        """Log deferred runs. uWSGI has no status command that would show them."""
        deferred, now = self._scheduler.deferred, self._now().monotonic
        if deferred and now - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = now
            _LOG.warning("Deferred runs until a full queue has space: %s", ", ".join(deferred))

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")
