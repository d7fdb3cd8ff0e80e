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
import signal
import threading
import time
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic_ns

from heliograph._core.signals.records import (
    DONE,
    INTERRUPTED,
    RECORD_BYTES,
    RUNNING,
    unfinished,
)
from heliograph._core.stats.counters import ProcessCounters
from heliograph._core.stats.durations import ProcessDurations
from heliograph.engines.local import closed_descriptors
from heliograph.engines.local.in_flight_buffer import InFlightBuffer, watch
from heliograph.engines.local.measures import Measures
from heliograph.engines.local.sigterm import SIGTERM, catch_sigterm, handler_of, keep_sigterm
from heliograph.engines.local.thread_waiters import ThreadWaiters
from heliograph.engines.local.time_limits import TimeLimits
from heliograph.exceptions import WaitTimeout
from heliograph.interfaces import Handler, HandlerInterrupted
from heliograph.models import MAX_WAIT

_LOG = logging.getLogger("heliograph.local")

LimitedHandler = tuple[Handler, float]
"""A handler, and its time limit in seconds. 0: no limit."""

_SHARED_BATCH = 32
"""Signals that are fetched from one shared queue before the receiver polls the other queues again."""


class Receiver(InFlightBuffer):
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
        super().__init__(in_flight)
        self.thread = threading.get_ident()
        self._own = frozenset(own)
        self._slot = slot
        self._handlers = handlers
        self._left = max_signals or -1
        self.measures = Measures(in_flight, slot)
        self._since = memoryview(bytearray(8)).cast("Q")
        self._is_fast = self._is_collecting = False
        self.on_drain: Callable[[], None] = lambda: None
        self.hidden: Container[int] = ()
        self._draining = False
        self._drain_on_sigterm: Callable[[int, object], None] | None = None
        self._abandoned = False
        self._depth = 0
        self._limits = TimeLimits(in_flight)
        self._threads = ThreadWaiters()
        self._latest: list[int] = []
        self._alive = -1
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll = watch((*own, self._wake_read), shared)
        self._poll: Callable[[float], list[tuple[int, int]]] = self._epoll.poll

    def share_measures(self, durations: ProcessDurations, since: memoryview[int]) -> None:
        """Measure in shared memory. `since` is the word for the time at which the last batch began."""
        self.measures.durations, self._since = durations, since

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
            return self._threads.wait(num, timeout)
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

    # the loop

    def _done(self) -> bool:
        return self._draining or self._left == 0

    def _run_once(self, timeout: float, only: int = 0) -> None:
        """Run fetched records, or else wait at most `timeout` seconds (-1: no limit) for more and run them."""
        if self._drain_on_sigterm is not None:
            keep_sigterm(self._drain_on_sigterm, self._wake_write)
        if self._next < self._end:
            self._run_in_flight(only)
            return
        for fd, _ in (self._is_collecting and self.measures.poll(self._poll)) or self._poll(timeout):
            if fd in self._own:
                self._read_all(fd)
                self._run_in_flight(only) if self._depth or not self._is_fast else self._run_fast()
            elif fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 4096)
            elif fd == self._alive:
                self._epoll.unregister(fd)
                self.drain()
            else:
                self._empty_shared(fd, only)
            if self._done() and not self._depth:
                return
            if only and self._latest:
                return

    def _empty_shared(self, fd: int, only: int) -> None:
        if self._is_fast and not (only or self._end):
            self._empty_shared_fast(fd)
            return
        for _ in range(only or _SHARED_BATCH):
            if not self._read(fd, RECORD_BYTES):
                return
            self._run_in_flight(only)
            if (self._draining or not self._left) and not self._depth:  # `_done`, without the call
                return

    def _empty_shared_fast(self, fd: int) -> None:
        """Do the same, and measure all signals together. Each is read to a place of its own."""
        done = began = 0
        while not self._draining and self._left and self._read(fd, RECORD_BYTES):
            if not done:
                began = self._since[0] = monotonic_ns()
            self._next = self._end
            self._run_handler(done * RECORD_BYTES)
            if self._drain_on_sigterm is not None and handler_of(SIGTERM) is not self._drain_on_sigterm:
                catch_sigterm(self._drain_on_sigterm, self._wake_write)
            done += 1
            if done == _SHARED_BATCH or self._end != done:  # the handler has waited, and left records in the buffer
                break
        self._end_batch(0, done, began)

    def _run_in_flight(self, most: int = 0) -> None:
        """Run the records that are fetched and not started: at most `most` of them, or all if it is 0."""
        in_flight = self._in_flight
        run = 0
        while self._next < self._end and (self._depth or not (self._draining or self._left == 0)):
            offset = self._next * RECORD_BYTES
            self._next += 1
            if in_flight[offset] != DONE:  # a predecessor may have left gaps
                self._handle(offset)
                # asyncio removes our handler for SIGTERM if a handler's loop had one of its own.
                if self._drain_on_sigterm is not None and handler_of(SIGTERM) is not self._drain_on_sigterm:
                    catch_sigterm(self._drain_on_sigterm, self._wake_write)
                run += 1
                if run == most:
                    break
        if self._next >= self._end:
            self._next = self._end = self._lowest_free() if self._depth else 0

    def _run_fast(self) -> None:
        """Run all records that are fetched, outside of other handlers, and measure them together."""
        began = self._since[0] = monotonic_ns()
        first = self._next
        while self._next < self._end and self._left and not self._draining:
            offset = self._next * RECORD_BYTES
            self._next += 1
            self._run_handler(offset)
            if self._drain_on_sigterm is not None and handler_of(SIGTERM) is not self._drain_on_sigterm:
                catch_sigterm(self._drain_on_sigterm, self._wake_write)
        if self._next != first + 1 or not self.measures.skip(first, began):
            self._end_batch(first, self._next - first, began)
        elif self._next >= self._end:
            self._next = self._end = 0

    def _end_batch(self, first: int, records: int, began: int) -> None:
        """Measure records that have run, and free the buffer."""
        self._is_fast = not records or self.measures.count_batch(first, records, began)
        self._is_collecting = self.measures.collected > 0
        if self._next >= self._end:
            self._next = self._end = 0

    def _handle(self, offset: int) -> None:
        """Run the handler of one record, and measure that."""
        times, place = self.measures.times, offset // 8 + 1
        sent = times[place]
        times[place] = began = monotonic_ns()
        self._run_handler(offset)
        self._is_fast = self.measures.count(self._in_flight[offset + 1], sent, began)

    def _run_handler(self, offset: int) -> None:
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
        if self._depth or self._threads.count:
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
        if self._threads.count:
            self._threads.notify(num)

    def _resume_predecessor(self) -> None:
        """Run the records that a predecessor left in the buffer, in their order."""
        self._end = max((offset // RECORD_BYTES + 1 for offset, _ in unfinished(self._in_flight)), default=0)
        while self._next < self._end and not self._done():
            self._run_in_flight()
