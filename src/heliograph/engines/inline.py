"""Signals in this process, at once, on a fake clock: for tests and the shell.

Rules
    One process plays a whole server. Each receiver of a signal runs its handler in turn, and while it runs this
    process *is* that receiver: `Mule.get_current_id()` answers 1 in mule 1. What one process of a pool or farm may
    take, the first that waits for it takes, else the first there is.

    Signals run in the order in which they were sent, so what a handler raises runs after it, not within it. One
    thread at a time runs them; another's `send()` then returns at once. Each thread plays for itself.

    `hold()` keeps signals in their queues, so that a test can look at them, fill them up, or let `wait()` take them.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph._core.schedule.schedule import ClockReading, Schedule
from heliograph._core.signals.targets import Target, parse, queues, queues_read_by, readers_of
from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.exceptions import (
    ConfigError,
    NotSupported,
    SignalNotRegistered,
    SignalQueueFull,
    TargetError,
    WaitTimeout,
)
from heliograph.interfaces import Clock, Handler
from heliograph.models import (
    NO_OPTIONS,
    FarmSpec,
    FileMonitor,
    HandlerOptions,
    Identity,
    Queue,
    Topology,
    Trigger,
)
from heliograph.settings.processes import check_farms
from heliograph.timing.clocks import FakeClock, SystemClock
from heliograph.timing.rules import next_fire

DEFAULT_TOPOLOGY = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """One `send()` that was accepted: the number, who sent it, and the queues that got a copy each."""

    num: int
    by: Identity
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class Handled:
    """One run of a handler: the number, who ran it, and what it raised (None if nothing).

    `SystemExit` and the like are noted here as well, and go on to whoever let the signal run.
    """

    num: int
    by: Identity
    failure: BaseException | None


@dataclass(slots=True, eq=False)
class _Waiter:
    """A `wait()` under way: for which number (None: any), by whom, and what arrived."""

    num: int | None
    process: Identity
    received: int | None = None


class _CurrentProcess(threading.local):
    """Which process a thread plays."""

    process: Identity | None = None


class InlineEngine(ProcessLocalNames, NoWebServer):
    """One process that plays all processes of a server."""

    name = "inline"
    can_change_target = True

    def __init__(
        self, topology: Topology = DEFAULT_TOPOLOGY, *, clock: Clock | None = None, capacity: int = 65_536
    ) -> None:
        """`capacity` is the number of signals that each queue takes.

        Raises `ConfigError` for a farm without mules, or with mules that the topology does not have.
        """
        try:
            check_farms(topology)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.clock: Clock = clock or FakeClock()
        self.sent: list[Sent] = []
        self.handled: list[Handled] = []
        self.rejected = 0
        self._topology = topology
        self._capacity = capacity
        self._first = next(iter(topology.processes()), Identity("external"))
        self._current = _CurrentProcess()
        self._routes: dict[int, tuple[Target, Handler]] = {}
        self._pending: deque[tuple[Queue, int]] = deque()
        self._lengths: Counter[Queue] = Counter()
        self._waiters: list[_Waiter] = []
        self._holding = 0
        self._running = 0
        self._failures: list[Handled] = []
        self._changed = threading.Condition()
        self._schedule = Schedule(next_fire, lambda: 0.0, glance=math.inf)
        if isinstance(self.clock, FakeClock):
            self.clock.set_alarm(self._alarm)

    # for tests

    @contextmanager
    def as_process(self, process: Identity | str) -> Generator[None]:
        """Be another process for a while, in this thread: `with engine.playing("mule2"):`."""
        before, self._current.process = self._current.process, self._identity_named(process)
        try:
            yield
        finally:
            self._current.process = before

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep what is sent in its queue; it is delivered when the block ends."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            self._deliver_all()

    def queued(self, where: Queue | str) -> tuple[int, ...]:
        """The numbers that wait in a queue, or in the queues of a target such as `"mule1"`, the oldest first."""
        wanted = (where,) if isinstance(where, Queue) else queues(parse(where, self._topology), self._topology)
        return tuple(num for queue, num in self._pending if queue in wanted)

    def take_failures(self) -> tuple[Handled, ...]:
        """What handlers raised since the last call. Whoever takes it answers for it: the fixture then lets it be."""
        taken = tuple(self._failures)
        self._failures.clear()
        return taken

    # the port

    @property
    def identity(self) -> Identity:
        return self._current.process or self._first

    @property
    def topology(self) -> Topology:
        return self._topology

    def register_signal(
        self,
        num: int,
        target: str,
        handler: Handler,
        options: HandlerOptions = NO_OPTIONS,  # noqa: ARG002 - nobody kills this process, nor limits its time
    ) -> None:
        self._routes[num] = (parse(target, self._topology), handler)

    def signal_registered(self, num: int) -> bool:
        return num in self._routes

    def signal(self, num: int, timeout: float) -> None:
        with self._changed:
            target, where = self._destination(num)
            if any(self._lengths[queue] >= self._capacity for queue in where):
                # One process plays all: whoever sends is also the only one who could make room.
                self.rejected += 1
                raise SignalQueueFull(num, target, timeout, itself=True)
            self.sent.append(Sent(num, self.identity, where))
            self._pending.extend((queue, num) for queue in where)
            self._lengths.update(where)
        self._deliver_all()

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        """See the port. What `hold()` keeps for this process is taken first.

        A limited wait lets `timeout` pass on the clock; an endless one waits for another thread, and raises
        `NotSupported` where there is none.
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
                f"{waiter.process} would wait for ever: nothing waits in its queues, and no other thread is there to "
                "send. Send first, under `with engine.hold():`, give a timeout, or wait in a thread"
            )
        raise WaitTimeout(num, timeout)

    def add_trigger(self, trigger: Trigger) -> None:
        self._schedule.add(trigger, self._now())

    def remove_trigger(self, name: str) -> None:
        self._schedule.remove(name)

    def change_period(self, name: str, period: float) -> None:
        self._schedule.change_period(name, period, self._now())

    def changed(self, path: str) -> None:
        """Tell that what is at `path` has changed: what monitors it raises its signals."""
        for entry in self._schedule.entries():
            what = entry.trigger.spec
            if isinstance(what, FileMonitor) and _covers(what, path):
                entry.fired += 1
                self._fire(entry.trigger)

    def on_fork(self, hook: Callable[[], None]) -> None:
        """One process plays all, so a hook runs once for each that would be forked."""
        for process in self._topology.processes():
            with self.as_process(process):
                hook()

    def in_farm(self, name: str) -> bool:
        process, farms = self.identity, self._topology.farms
        return process.role == "mule" and any(farm.name == name and process.number in farm.mules for farm in farms)

    def masterpid(self) -> int:
        return 0

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return tuple({"id": number, "pid": 0} for number in range(1, self._topology.workers + 1))

    def opt(self) -> Mapping[str, Any]:
        return {}

    def version(self) -> str:
        return "inline"

    # within

    def _alarm(self) -> float:
        """Raise what is due, and say how long until the next."""
        for firing in self._schedule.due(self._now()):
            for _ in range(firing.times):
                self._fire(firing.trigger)
        return max(self._schedule.wait(self._now()), 1e-9)

    def _fire(self, trigger: Trigger) -> None:
        """Raise a source's signal, as the master would."""
        route = self._routes.get(trigger.num)
        where = set(queues(route[0], self._topology)) if route else set[Queue]()
        if trigger.coalesce and any(queue in where and num == trigger.num for queue, num in self._pending):
            self._schedule.count_missed(trigger.name)
            return
        with self.as_process("master"):
            self.signal(trigger.num, 0.0)

    def _now(self) -> ClockReading:
        return ClockReading(self.clock.monotonic(), self.clock.time())

    def _destination(self, num: int) -> tuple[str, tuple[Queue, ...]]:
        """Where a signal goes: the target's text and its queues; to whoever waits for it if nobody registered it."""
        route = self._routes.get(num)
        if route is not None:
            return route[0].text, queues(route[0], self._topology)
        for waiter in self._waiters:
            if waiter.num == num and waiter.received is None:
                return str(waiter.process), queues_read_by(waiter.process, self._topology)[:1]
        raise SignalNotRegistered(num)

    def _deliver_all(self) -> None:
        while not self._holding and self._run_one(None):
            pass

    def _run_one(self, among: tuple[Queue, ...] | None) -> bool:
        """Run the oldest signal that waits (among these queues); False if there is none, or others are at it."""
        with self._changed:
            at = next((i for i, (queue, _) in enumerate(self._pending) if among is None or queue in among), None)
            if at is None or (self._running and among is None):
                return False
            queue, num = self._pending[at]
            del self._pending[at]
            self._lengths[queue] -= 1
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
        """Run the handler if there is one, then tell those who wait."""
        route = self._routes.get(num)
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
            raise NotSupported(f"no signal ever arrives in {waiter.process}; wait in a worker, a mule or a spooler")
        route = self._routes.get(waiter.num) if waiter.num is not None else None
        if route is not None and set(mine).isdisjoint(queues(route[0], self._topology)):
            raise NotSupported(
                f"signal {waiter.num} goes to {route[0].text} and never arrives in {waiter.process}: wait for it there"
            )

    def _advance(self, waiter: _Waiter, timeout: float | None) -> None:
        if timeout is not None and not isinstance(self.clock, SystemClock):
            self.clock.sleep(timeout)
        elif timeout is not None or threading.active_count() > 1:
            with self._changed:
                self._changed.wait_for(lambda: waiter.received is not None, timeout)

    def _identity_named(self, process: Identity | str) -> Identity:
        everybody = (Identity("master"), *self._topology.processes(), Identity("external"))
        found = {str(identity): identity for identity in everybody}
        if str(process) not in found:
            raise TargetError(str(process), "is no process of this server", tuple(found))
        return found[str(process)]


def _covers(monitor: FileMonitor, path: str) -> bool:
    watched, changed = Path(monitor.path), Path(path).absolute()
    return watched in (changed, changed.parent) or (monitor.recursive and changed.is_relative_to(watched))
