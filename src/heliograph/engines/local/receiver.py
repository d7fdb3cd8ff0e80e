"""The loop of a process: fetch a signal into the in-flight buffer, run its handler, count the outcome.

Rules
    The kernel reads records straight into the in-flight buffer, which is shared memory, so no signal is lost when the
    process is killed at any moment. The receiver marks a record before its handler starts and after it returns.
    From a queue that no other process reads, the receiver fetches many signals at a time. From a queue of a pool or a
    farm it fetches one, so that the other readers get signals while its handler runs.
    Records that a predecessor in the same role left in the buffer come first.

How it works
    `_next` and `_end` bound the records that are fetched and not started. If a handler waits for a signal, the loop
    runs nested within it, on the rest of the buffer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from contextlib import contextmanager
from os import readv

from heliograph._core.signals.records import (
    DONE,
    IN_FLIGHT_BYTES,
    INTERRUPTED,
    RECORD_BYTES,
    RUNNING,
    unfinished,
)
from heliograph._core.stats.counters import ProcessCounters
from heliograph.engines.local import closed_descriptors
from heliograph.engines.local.greenlets import make_epoll
from heliograph.engines.local.sigterm import SIGTERM, catch_sigterm, handler_of, keep_sigterm
from heliograph.engines.local.time_limits import TimeLimits
from heliograph.exceptions import WaitFailed, WaitTimeout
from heliograph.interfaces import Handler, HandlerInterrupted
from heliograph.models import MAX_WAIT, SIGNALS

_LOG = logging.getLogger("heliograph.local")

LimitedHandler = tuple[Handler, float]
"""A handler, and its time limit in seconds. 0: no limit."""

_SHARED_BATCH = 32
"""Signals that are fetched from one shared queue before the receiver polls the other queues again."""


class Receiver:
    """Receives signals for one process, in the thread that calls `run`. `drain` calls `on_drain` as well, and `wait`
    does not return the signals that are `hidden`."""

    def __init__(
        self,
        own: Sequence[int],
        shared: Sequence[int],
        in_flight: memoryview,
        slot: ProcessCounters,
        handlers: Mapping[int, LimitedHandler],
        max_signals: int = 0,
    ) -> None:
        """Watch the queues. `own` are descriptors of queues that no other process reads, `shared` of the other ones."""
        self.thread = threading.get_ident()
        self._own = frozenset(own)
        self._in_flight = in_flight
        self._slot = slot
        self._handlers = handlers
        self._left = max_signals or -1
        self.on_drain: Callable[[], None] = lambda: None
        self.hidden: Container[int] = ()
        self._draining = False
        self._drain_on_sigterm: Callable[[int, object], None] | None = None
        self._abandoned = False
        self._depth = 0
        self._limits = TimeLimits(in_flight)
        self._next = self._end = 0
        self._free: dict[int, list[memoryview]] = {}
        self._arrived = threading.Condition()
        self._arrivals = [0] * SIGNALS
        self._thread_waiters = 0
        self._latest: list[int] = []
        self._alive = -1
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll = make_epoll()
        self._poll: Callable[[float], list[tuple[int, int]]] = self._epoll.poll
        for fd in (*own, self._wake_read):
            self._epoll.register(fd, select.EPOLLIN)
        for fd in shared:
            # The kernel wakes one of the idle processes, not all of them.
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def run(self) -> None:
        """Receive signals until `drain` is called or the process has handled its maximum number."""
        self.drain_on_sigterm()
        self._take_signals()

    def drain_on_sigterm(self) -> None:
        """Handle SIGTERM by `drain`. Must be called in the main thread."""
        self._drain_on_sigterm = self._on_sigterm
        catch_sigterm(self._drain_on_sigterm, self._wake_write)

    def drain_on_end_of(self, fd: int) -> None:
        """Let `run` return when the master has exited: then the writing end of this pipe is closed.

        The kernel kills the process before that, unless a handler has called `os.setuid` or the like.
        """
        self._alive = fd
        self._epoll.register(fd, 0)  # EPOLLHUP is always reported.

    def drain(self) -> None:
        """Let `run` return after the running handler. Safe to call in a handler of a Unix signal."""
        self._draining = True
        self.on_drain()
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def abandon(self) -> None:
        """In a process that the application forked, leave buffer and counters to the parent, which owns them."""
        self._abandoned = True
        self._limits.abandon()
        self._drain_on_sigterm = None
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def wait(self, num: int | None, timeout: float | None) -> int:
        """Return the number of the signal once `num`, or any signal, has arrived here and its handler has run.

        Raises:
            WaitTimeout: after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if num is not None:
            self._slot.waiters[num] += 1
        try:
            if threading.get_ident() == self.thread:
                return self._wait_nested(num, timeout, deadline)
            return self._wait_in_thread(num, timeout)
        finally:
            if num is not None:
                self._slot.waiters[num] -= 1

    def _take_signals(self) -> None:
        self._resume_predecessor()
        try:
            while not self._done():
                self._run_once(-1)
        except OSError as error:
            closed_descriptors.end(error)

    def _on_sigterm(self, _signum: int, _frame: object) -> None:
        self.drain()

    # waiting

    def _wait_nested(self, num: int | None, timeout: float | None, deadline: float | None) -> int:
        """Wait in the thread of the loop, that is within a handler, by running the loop nested."""
        found: list[int] = []
        with self._nested(found):
            while True:
                for arrived in found:
                    if num in (None, arrived):
                        return arrived
                found.clear()
                left = -1.0 if deadline is None else deadline - time.monotonic()
                if deadline is not None and left <= 0:
                    raise WaitTimeout(num, timeout or 0.0)
                self._run_once(min(left, MAX_WAIT), only=1)

    @contextmanager
    def _nested(self, found: list[int]) -> Generator[None]:
        outer, self._latest = self._latest, found
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._latest = outer

    def _wait_in_thread(self, num: int | None, timeout: float | None) -> int:
        """Wait in a thread that does not run the loop. The loop notifies it."""
        with self._arrived:
            self._thread_waiters += 1
            before = list(self._arrivals)
            candidates = range(SIGNALS) if num is None else (num,)

            def arrived() -> list[int]:
                return [n for n in candidates if self._arrivals[n] > before[n]]

            try:
                found = self._arrived.wait_for(
                    arrived, None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
                )
            finally:
                self._thread_waiters -= 1
        if not found:
            raise WaitTimeout(num, timeout or 0.0)
        return found[0]

    # the loop

    def _done(self) -> bool:
        return self._draining or self._left == 0

    def _run_once(self, timeout: float, only: int = 0) -> None:
        """Run fetched records, or else wait at most `timeout` seconds (-1: no limit) for more and run them."""
        if self._next < self._end:
            self._run_in_flight(only)
            return
        if self._drain_on_sigterm is not None:
            keep_sigterm(self._drain_on_sigterm, self._wake_write)
        for fd, _ in self._poll(timeout):
            if fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 4096)
            elif fd == self._alive:
                self._epoll.unregister(fd)
                self.drain()
            elif fd in self._own:
                self._read(fd, IN_FLIGHT_BYTES)
                self._run_in_flight(only)
            else:
                self._empty_shared(fd, only)
            if self._done() and not self._depth:
                return
            if only and self._latest:
                return

    def _empty_shared(self, fd: int, only: int) -> None:
        for _ in range(only or _SHARED_BATCH):
            if not self._read(fd, RECORD_BYTES):
                return
            self._run_in_flight(only)
            if (self._draining or not self._left) and not self._depth:  # `_done`, without the call
                return

    def _read(self, fd: int, most: int) -> bool:
        """Let the kernel read up to `most` bytes into the free part of the buffer. Return False if there is none."""
        free = self._free.get(self._end * IN_FLIGHT_BYTES + most) or self._make_free(most)
        try:
            count = readv(fd, free)
        except BlockingIOError:  # another process was faster
            return False
        self._end += count // RECORD_BYTES
        return count > 0

    def _make_free(self, most: int) -> list[memoryview]:
        """Make the argument of `readv`. This is done once, since it takes as long as the read itself."""
        start = self._end * RECORD_BYTES
        if start >= IN_FLIGHT_BYTES:
            raise WaitFailed("too many handlers of this process wait for signals within each other")
        free = self._free[self._end * IN_FLIGHT_BYTES + most] = [self._in_flight[start : start + most]]
        return free

    def _run_in_flight(self, most: int = 0) -> None:
        """Run the records that are fetched and not started: at most `most` of them, or all if it is 0."""
        in_flight = self._in_flight
        run = 0
        while self._next < self._end and (self._depth or not (self._draining or self._left == 0)):
            offset = self._next * RECORD_BYTES
            self._next += 1
            if in_flight[offset] != DONE:  # a predecessor may have left gaps
                # asyncio removes our handler for SIGTERM if a handler's loop had one of its own.
                if self._drain_on_sigterm is not None and handler_of(SIGTERM) is not self._drain_on_sigterm:
                    catch_sigterm(self._drain_on_sigterm, self._wake_write)
                self._handle(offset)
                run += 1
                if run == most:
                    break
        if self._next >= self._end:
            self._next = self._end = self._lowest_free() if self._depth else 0

    def _lowest_free(self) -> int:
        """Return the record to read on at: behind those that an outer level has in flight, over those that are done."""
        place = self._next
        while place and self._in_flight[(place - 1) * RECORD_BYTES] == DONE:
            place -= 1
        return place

    def _handle(self, offset: int) -> None:
        """Run the handler of one record. This is the hot path of a receiver."""
        in_flight, slot = self._in_flight, self._slot
        num = in_flight[offset + 1]
        in_flight[offset] = RUNNING
        slot.started[num] += 1
        failure: Exception | None = None
        try:
            found = self._handlers.get(num)
            if found is not None:
                handler, limit = found
                failure = self._run_limited(offset, handler, limit) if limit else handler(num)
            elif not slot.waiters[num]:
                failure = LookupError(num)
                _LOG.error("Signal %d arrived, but this process has no handler for it and no thread waits for it", num)
        except BaseException as end:
            self._record_exit(offset, end)
            raise
        if self._abandoned:
            raise SystemExit(0)  # a process that the handler forked returned from it, and is not of the server
        if in_flight[offset] == DONE:
            return  # `ThreadReceiver` has given it up, because it exceeded its time limit
        if failure is None:
            in_flight[offset] = DONE
            slot.done[num] += 1
        else:
            closed_descriptors.end_if_closed(self._epoll)
            in_flight[offset] = DONE
            slot.failed[num] += 1
        if self._left > 0:
            self._left -= 1
        if self._depth or self._thread_waiters:
            self._notify_waiters(num)

    def _record_exit(self, offset: int, end: BaseException) -> None:
        """Mark the record of a handler that ends its process, or that the end of the process interrupts."""
        if self._abandoned:
            return  # it stays in flight in the parent
        if isinstance(end, HandlerInterrupted):
            self._in_flight[offset] = INTERRUPTED  # a successor runs it again
            return
        # The handler ended the process itself, so the signal is handled.
        self._in_flight[offset] = DONE
        self._slot.failed[self._in_flight[offset + 1]] += 1

    def _run_limited(self, offset: int, handler: Handler, limit: float) -> Exception | None:
        """Run a handler under a time limit: the kernel ends this process if the handler exceeds it."""
        return self._limits.run(offset, handler, limit)

    def _notify_waiters(self, num: int) -> None:
        """Notify an outer level of this loop, and the threads that wait."""
        if num in self.hidden:
            return
        if self._depth:
            self._latest.append(num)
        if self._thread_waiters:
            with self._arrived:
                self._arrivals[num] += 1
                self._arrived.notify_all()

    def _resume_predecessor(self) -> None:
        """Run the records that a predecessor left in the buffer, in their order."""
        self._end = max((offset // RECORD_BYTES + 1 for offset, _ in unfinished(self._in_flight)), default=0)
        while self._next < self._end and not self._done():
            self._run_in_flight()
