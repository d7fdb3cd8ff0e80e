"""A process's loop: take a signal from its queues into its hand, run the handler, note how it went.

Rules
    The kernel reads records straight into the hand, which is shared memory, so a process may be killed at any moment
    and nothing is lost. A record is marked before its handler starts and after it ends.
    Of a queue that nobody else reads, a process takes many signals at a time; of a pool or a farm that others read
    too one, so that they get theirs while its handler runs.
    What a predecessor in the same role left in the hand comes first.

How it works
    `_next` and `_end` bound what was read and not begun. A handler may wait for a signal, and then the loop runs
    within it, a level deeper, on the rest of the hand.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from heliograph._core.signals.records import DONE, IN_FLIGHT_BYTES, INTERRUPTED, RECORD_BYTES, RUNNING, unfinished
from heliograph._core.stats.counters import ProcessCounters
from heliograph.exceptions import WaitFailed, WaitTimeout
from heliograph.interfaces import Handler, HandlerInterrupted
from heliograph.models import SIGNALS

_LOG = logging.getLogger("heliograph.local")

LimitedHandler = tuple[Handler, float]
"""A handler, and the seconds that it may take; 0 for as long as it likes."""

_SHARED_BATCH = 32
"""Signals that are taken from one shared queue before the others are looked at again."""


class Receiver:
    """Takes signals for one process, in the thread that calls `run`."""

    def __init__(
        self,
        own: Sequence[int],
        shared: Sequence[int],
        in_flight: memoryview,
        slot: ProcessCounters,
        handlers: Mapping[int, LimitedHandler],
        max_signals: int = 0,
    ) -> None:
        """`own` and `shared` are descriptors to read: of queues that nobody else reads, and of others."""
        self.thread = threading.get_ident()
        self._own = frozenset(own)
        self._in_flight = in_flight
        self._slot = slot
        self._handlers = handlers
        self._left = max_signals or -1
        self._draining = False
        self._abandoned = False
        self._depth = 0
        self._next = self._end = 0
        self._arrived = threading.Condition()
        self._arrivals = [0] * SIGNALS
        self._thread_waiters = 0
        self._latest: list[int] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll = select.epoll()
        for fd in (*own, self._wake_read):
            self._epoll.register(fd, select.EPOLLIN)
        for fd in shared:
            # Of many idle processes one is woken, not all; see `Known facts` of the design.
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def run(self) -> None:
        """Take signals until the process is told to drain, or has handled as many as it may."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._take_signals()

    def drain(self) -> None:
        """Finish what is in hand and let `run` return. Safe to call in a handler of a UNIX signal."""
        self._draining = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def abandon(self) -> None:
        """In a process that the application forked: leave all of it to the parent, whose hand and slot these are."""
        self._abandoned = True
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def wait(self, num: int | None, timeout: float | None) -> int:
        """Return when `num` (or any signal) has arrived in this process and its handler has run."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if num is not None:
            self._slot.waiters[num] += 1
        try:
            if threading.get_ident() == self.thread:
                return self._wait_here(num, timeout, deadline)
            return self._wait_in_thread(num, timeout)
        finally:
            if num is not None:
                self._slot.waiters[num] -= 1

    def _take_signals(self) -> None:
        self._resume_predecessor()
        while not self._done():
            self._run_once(-1)

    def _on_sigterm(self, _signum: int, _frame: object) -> None:
        self.drain()

    # waiting

    def _wait_here(self, num: int | None, timeout: float | None, deadline: float | None) -> int:
        """In the loop's own thread, so within a handler: run the loop a level deeper."""
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
                self._run_once(left, only=1)

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
        """In another thread: the loop tells."""
        with self._arrived:
            self._thread_waiters += 1
            before = list(self._arrivals)
            candidates = range(SIGNALS) if num is None else (num,)

            def arrived() -> list[int]:
                return [n for n in candidates if self._arrivals[n] > before[n]]

            try:
                found = self._arrived.wait_for(arrived, timeout)
            finally:
                self._thread_waiters -= 1
        if not found:
            raise WaitTimeout(num, timeout or 0.0)
        return found[0]

    # the loop

    def _done(self) -> bool:
        return self._draining or self._left == 0

    def _run_once(self, timeout: float, only: int = 0) -> None:
        """Run what is in hand, or else wait for more at most `timeout` seconds (-1: for ever) and run that."""
        if self._next < self._end:
            self._run_in_flight(only)
            return
        for fd, _ in self._epoll.poll(timeout):
            if fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 4096)
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
            if self._done() and not self._depth:
                return

    def _read(self, fd: int, most: int) -> bool:
        """Let the kernel put up to `most` bytes into the free part of the hand. False if there was nothing."""
        start = self._end * RECORD_BYTES
        room = self._in_flight[start : start + most]
        if not room:
            raise WaitFailed("too many handlers of this process wait for signals within each other")
        try:
            count = os.readv(fd, [room])
        except BlockingIOError:  # another process was faster
            return False
        self._end += count // RECORD_BYTES
        return count > 0

    def _run_in_flight(self, most: int = 0) -> None:
        """Run what was read and not begun; at most so many, 0 for all."""
        hand = self._in_flight
        run = 0
        while self._next < self._end and (self._depth or not (self._draining or self._left == 0)):
            offset = self._next * RECORD_BYTES
            self._next += 1
            if hand[offset] != DONE:  # a predecessor may have left gaps
                self._handle(offset)
                run += 1
                if run == most:
                    break
        if self._next >= self._end:
            self._next = self._end = self._lowest_free() if self._depth else 0

    def _lowest_free(self) -> int:
        """Where to read on: over what is done, but not over what an outer level has in hand."""
        place = self._next
        while place and self._in_flight[(place - 1) * RECORD_BYTES] == DONE:
            place -= 1
        return place

    def _handle(self, offset: int) -> None:
        """Run one record of the hand. Each microsecond here is one that every signal takes longer."""
        hand, slot = self._in_flight, self._slot
        num = hand[offset + 1]
        hand[offset] = RUNNING
        slot.started[num] += 1
        failure: Exception | None = None
        try:
            found = self._handlers.get(num)
            if found is not None:
                handler, limit = found
                failure = self._run_limited(offset, handler, limit) if limit else handler(num)
            elif not slot.waiters[num]:
                failure = LookupError(num)
                _LOG.error("signal %d came, but nothing handles it and nobody waits for it any more", num)
        except BaseException as end:
            self._record_exit(offset, end)
            raise
        if self._abandoned:
            raise SystemExit(0)  # a process that the handler forked has come back from it: it is none of the server's
        if hand[offset] == DONE:
            return  # it took too long beside requests, and was given up meanwhile
        hand[offset] = DONE
        if failure is None:
            slot.done[num] += 1
        else:
            slot.failed[num] += 1
        if self._left > 0:
            self._left -= 1
        if self._depth or self._thread_waiters:
            self._notify_waiters(num)

    def _record_exit(self, offset: int, end: BaseException) -> None:
        """What becomes of a signal whose handler has ended its process, or was ended with it."""
        if self._abandoned:
            return  # it stays in hand, for the parent
        if isinstance(end, HandlerInterrupted):
            self._in_flight[offset] = INTERRUPTED  # for a successor
            return
        # The handler ended the process by itself: it has been handled.
        self._in_flight[offset] = DONE
        self._slot.failed[self._in_flight[offset + 1]] += 1

    def _run_limited(self, offset: int, handler: Handler, limit: float) -> Exception | None:
        """Run a handler under a time limit: the kernel ends this process (SIGALRM) if it takes longer."""
        num = self._in_flight[offset + 1]
        if self._depth:  # the outer handler's limit holds
            return handler(num)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            return handler(num)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _notify_waiters(self, num: int) -> None:
        """Wake who waits for it: an outer level of this loop, or other threads."""
        if self._depth:
            self._latest.append(num)
        if self._thread_waiters:
            with self._arrived:
                self._arrivals[num] += 1
                self._arrived.notify_all()

    def _resume_predecessor(self) -> None:
        """Begin with what a predecessor left in the hand, in its order."""
        self._end = max((offset // RECORD_BYTES + 1 for offset, _ in unfinished(self._in_flight)), default=0)
        while self._next < self._end and not self._done():
            self._run_in_flight()
