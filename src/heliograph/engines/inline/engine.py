"""An engine that delivers signals inside this process, on a fake clock: for tests and the shell.

Rules
    One process simulates a whole server. The handler of a signal runs once for each receiver, and during that run
    this process has the identity of the receiver: `Mule.get_current_id()` returns 1 in mule 1. A signal for one
    process of a pool or farm goes to the first one that waits for it, else to the first process of the pool.

    Signals run in the order in which they were sent. A signal that a handler sends runs after that handler. One
    thread at a time runs handlers. The `send()` of another thread returns immediately in the meantime. Each thread
    has its own identity.

    `paused()` keeps signals in their queues, so that a test can look at them, fill the queues, or call `wait()`.

    Triggers run in the same scheduler as on a server, without jitter. The fake clock drives it.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from heliograph._core.schedule.schedule import ClockReading
from heliograph._core.signals.targets import Target, parse, queues, queues_read_by, readers_of
from heliograph._core.signals.wakeups import highest_free, wakeup_target
from heliograph.engines.inline.enqueued import EnqueuedTasks
from heliograph.engines.inline.history import Handled, Sent
from heliograph.engines.inline.life import SimulatedLife
from heliograph.engines.inline.processes import DEFAULT_TOPOLOGY
from heliograph.engines.inline.queues import InlineQueues
from heliograph.engines.inline.simulated_files import SimulatedWatcher
from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.engines.wakeup_handlers import Turn, WakeupHandlers
from heliograph.exceptions import (
    NotSupported,
    SignalNotRegistered,
    SignalQueueFull,
    WaitTimeout,
)
from heliograph.interfaces import Clock, Handler
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity, Queue, Topology, Trigger
from heliograph.timing.clocks import FakeClock, SystemClock
from heliograph.triggers.scheduler import Scheduler, SchedulerHost

_LOG = logging.getLogger("heliograph.inline")

_MIN_WAIT = 1e-9
"""Seconds between two alarms, so that the fake clock always advances."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A running `wait()`: the number (None: any), the process, and the number that arrived."""

    num: int | None
    process: Identity
    received: int | None = None


class InlineEngine(EnqueuedTasks, SimulatedLife, ProcessLocalNames, NoWebServer):
    """One process that simulates all processes of a server."""

    name = "inline"
    can_change_target = True

    def __init__(
        self, topology: Topology = DEFAULT_TOPOLOGY, *, clock: Clock | None = None, capacity: int = 65_536
    ) -> None:
        """Create an engine.

        Args:
            topology: The processes to simulate.
            clock: A `FakeClock` by default. Triggers run only on a `FakeClock`.
            capacity: Number of signals that each queue takes.

        Raises:
            ConfigError: A farm has no mules, or mules that the topology does not have.
        """
        super().__init__(topology)
        self.clock: Clock = clock or FakeClock()
        self.sent: list[Sent] = []
        self.handled: list[Handled] = []
        self.rejected = 0
        self._routes: dict[int, tuple[Target, Handler]] = {}
        self._queues = InlineQueues(capacity)
        self.coalesced = self._queues.coalesced
        self._wakeups = WakeupHandlers()
        self._waiters: list[_Waiter] = []
        self._paused = 0
        self._running = 0
        self._failures: list[Handled] = []
        self._changed = threading.Condition()
        self._watcher = SimulatedWatcher()
        self._scheduler = Scheduler(self._send_trigger, self._is_queued, self._scheduler_host())
        if isinstance(self.clock, FakeClock):
            self.clock.set_alarm(self._alarm)

    # For tests.

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep signals in their queues until the block ends. Then deliver them."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1
            self._deliver_all()

    def queued(self, where: Queue | str) -> tuple[int, ...]:
        """Return the queued numbers of a queue, or of a target such as `"mule1"`, the oldest first."""
        wanted = (where,) if isinstance(where, Queue) else queues(parse(where, self._topology), self._topology)
        return self._queues.numbers(wanted)

    def take_failures(self) -> tuple[Handled, ...]:
        """Return the runs that failed since the last call.

        The pytest fixture fails a test only for failures that the test did not take.
        """
        taken = tuple(self._failures)
        self._failures.clear()
        return taken

    # The engine.

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        self._wakeups.check_free(num, options.name)
        self._routes[num] = (parse(target, self._topology), handler)
        self._queues.register(num, coalesce=options.coalesce)

    def signal_registered(self, num: int) -> bool:
        return num in self._routes

    def signal(self, num: int, timeout: float) -> None:
        with self._changed:
            target, where = self._destination(num)
            if not self._queues.have_space(where):
                # The sender is the only process that could empty the queue, so waiting would not help.
                self.rejected += 1
                raise SignalQueueFull(num, target, timeout, self_deadlock=True)
            self._accept(num, self.identity, where)
        self._deliver_all()

    def on_wake(self, target: str, run: Turn) -> None:
        parsed, _ = wakeup_target(target, self._topology)
        if not self._wakeups.replace(target, run):
            num = highest_free(lambda num: num not in self._routes and not self.has_name(num))
            self._routes[num] = (parsed, self._wakeups.add(target, num, run))

    def wake(self, target: str) -> None:
        with self._changed:
            for num in self._wakeups.numbers_for(target):
                if not self._is_queued(num):
                    self._queues.put(num, self._destination(num)[1])
        self._deliver_all()

    def wake_at(self, target: str, when: float) -> None:
        for num in self._wakeups.numbers_for(target):
            self._scheduler.wake_at(num, when)

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        """See `SignalWaiting`. Signals that `paused()` keeps for this process come first.

        A wait with a timeout lets that time pass on the clock. A wait without one waits for another thread.

        Raises:
            NotSupported: No other thread could send the signal.
        """
        waiter = _Waiter(num, self.identity)
        self._check_can_arrive(waiter)
        with self._changed:
            self._waiters.append(waiter)
        try:
            while waiter.received is None and self._run_one(queues_read_by(waiter.process, self._topology)):
                pass
            if waiter.received is None:
                self._advance(waiter, timeout)
        finally:
            with self._changed:
                self._waiters.remove(waiter)
            self._deliver_all()
        if waiter.received is not None:
            return waiter.received
        if timeout is None:
            raise NotSupported(
                f"{waiter.process} would wait without end: its queues are empty, and no other thread can send. "
                "Send first inside `with engine.paused():`, pass a timeout, or wait in a thread."
            )
        raise WaitTimeout(num, timeout)

    def add_trigger(self, trigger: Trigger) -> None:
        self._scheduler.add(trigger)

    def remove_trigger(self, name: str) -> None:
        self._scheduler.remove(name)

    def change_period(self, name: str, period: float) -> None:
        self._scheduler.change_period(name, period)

    def changed(self, path: str) -> None:
        """Report that the file or directory at `path` changed. File monitors that cover it send their signals.

        The report stands for a whole change, so they do so at once, whatever their `settle` is.
        """
        self._watcher.report(path)
        self._scheduler.read_changes(settled=True)

    # Triggers.

    def _scheduler_host(self) -> SchedulerHost:
        return SchedulerHost(
            log=_LOG,
            now=lambda: ClockReading(self.clock.monotonic(), self.clock.time()),
            random=lambda: 0.0,
            clock_check_interval=math.inf,  # the fake clock asks for the next due time whenever it was set
            open_watcher=lambda: self._watcher,
            open_clock_watch=lambda: None,
        )

    def _alarm(self) -> float:
        """Send the signals that are due, and return the seconds until the next run."""
        self._scheduler.tick()
        return max(self._scheduler.wait(), _MIN_WAIT)

    def _send_trigger(self, num: int) -> bool:
        """Send the signal of a trigger as the master. Return False if a queue is full."""
        with self._changed:
            try:
                _, where = self._destination(num)
            except SignalNotRegistered as error:
                _LOG.warning("Missed a run: %s", error)
                return True
            if not self._queues.have_space(where):
                return False
            self._accept(num, Identity("master"), where)
        self._deliver_all()
        return True

    def _is_queued(self, num: int) -> bool:
        route = self._routes.get(num)
        return route is not None and num in self._queues.numbers(queues(route[0], self._topology))

    # Delivery.

    def _destination(self, num: int) -> tuple[str, tuple[Queue, ...]]:
        """Return the text and the queues of the target. For an unregistered signal that is a waiting process."""
        route = self._routes.get(num)
        if route is not None:
            return route[0].text, queues(route[0], self._topology)
        for waiter in self._waiters:
            if waiter.num == num and waiter.received is None:
                return str(waiter.process), queues_read_by(waiter.process, self._topology)[:1]
        raise SignalNotRegistered(num)

    def _accept(self, num: int, by: Identity, where: tuple[Queue, ...]) -> None:
        self.sent.append(Sent(num, by, where))
        self._queues.put(num, where)

    def _deliver_all(self) -> None:
        while not self._paused and self._run_one(None):
            pass

    def _run_one(self, among: tuple[Queue, ...] | None) -> bool:
        """Run the oldest queued signal. Return False if there is none, or if another thread runs handlers."""
        with self._changed:
            taken = None if self._running and among is None else self._queues.take(among)
            if taken is None:
                return False
            queue, num = taken
            taker = self._taker(num, readers_of(queue, self._topology))
            self._running += 1
        try:
            self._handle(num, taker)
        finally:
            with self._changed:
                self._running -= 1
        return True

    def _taker(self, num: int, readers: tuple[Identity, ...]) -> Identity:
        ready = (
            w.process for w in self._waiters if w.received is None and w.num in (None, num) and w.process in readers
        )
        return next(ready, readers[0])

    def _handle(self, num: int, taker: Identity) -> None:
        """Run the handler if there is one, then wake the waiting processes."""
        route = self._routes.get(num)
        if num in self._wakeups:
            with self.as_process(taker):
                self._wakeups.run(num)
            return
        if route is not None:
            with self.as_process(taker):
                try:
                    failure = route[1](num)
                except BaseException as leaving:
                    self.handled.append(Handled(num, taker, leaving))
                    raise
            self.handled.append(Handled(num, taker, failure))
            if failure is not None:
                self._failures.append(self.handled[-1])
        with self._changed:
            for waiter in self._waiters:
                if waiter.process == taker and waiter.received is None and waiter.num in (None, num):
                    waiter.received = num
            self._changed.notify_all()

    def _check_can_arrive(self, waiter: _Waiter) -> None:
        mine = queues_read_by(waiter.process, self._topology)
        if not mine:
            raise NotSupported(f"cannot wait in this process: {waiter.process}. Wait in a worker, a mule or a spooler.")
        route = self._routes.get(waiter.num) if waiter.num is not None else None
        if route is not None and set(mine).isdisjoint(queues(route[0], self._topology)):
            raise NotSupported(
                f"signal {waiter.num} never arrives in {waiter.process}. Wait in its target: {route[0].text}."
            )

    def _advance(self, waiter: _Waiter, timeout: float | None) -> None:
        if timeout is not None and not isinstance(self.clock, SystemClock):
            self.clock.sleep(timeout)
        elif timeout is not None or threading.active_count() > 1:
            longest = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
            with self._changed:
                self._changed.wait_for(lambda: waiter.received is not None, longest)
