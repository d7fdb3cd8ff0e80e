"""Signals in this process, at once, on a fake clock: for tests and the shell.

A whole server is played by one process: each receiver of a signal runs its handler in turn, and while it runs this
process *is* that receiver (`Mule.get_current_id()` answers 1 in mule 1). What a handler raises runs after it, first
in, first out. `hold()` keeps signals in their queues instead, so that a test can look at them or fill them up.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from heliograph._core.targets import parse, queues, readers_of
from heliograph.engines.clock import FakeClock
from heliograph.exceptions import SignalNotRegistered, SignalQueueFull, TargetError, WaitTimeout
from heliograph.port import Clock, Handler
from heliograph.values import FarmSpec, Identity, Queue, Topology

DEFAULT_TOPOLOGY = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """One `send()` that was accepted: the number, who sent it, and the queues that got a copy each."""

    num: int
    by: Identity
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class Handled:
    """One run of a handler: the number, who ran it, and what it raised (None if nothing)."""

    num: int
    by: Identity
    failure: Exception | None


class InlineEngine:
    """One process that plays all processes of a server."""

    name = "inline"
    reroutes = True

    def __init__(
        self, topology: Topology = DEFAULT_TOPOLOGY, *, clock: Clock | None = None, capacity: int = 65_536
    ) -> None:
        """`capacity` is the number of signals that each queue takes."""
        self.clock: Clock = clock or FakeClock()
        self.sent: list[Sent] = []
        self.handled: list[Handled] = []
        self.refused = 0
        self._topology = topology
        self._capacity = capacity
        self._who = Identity("worker", 1)
        self._routes: dict[int, tuple[str, Handler]] = {}
        self._queues: dict[Queue, deque[int]] = {}
        self._order: deque[Queue] = deque()
        self._waiting: Counter[int | None] = Counter()
        self._holding = 0
        self._draining = False
        self._changed = threading.Condition()
        self._arrivals = 0
        self._arrived: deque[tuple[int, int, tuple[Identity, ...]]] = deque(maxlen=1024)

    # for tests

    @contextmanager
    def playing(self, who: Identity | str) -> Generator[None]:
        """Be another process for a while: `with engine.playing("mule2"):`."""
        before, self._who = self._who, self._identity_named(who)
        try:
            yield
        finally:
            self._who = before

    @contextmanager
    def hold(self) -> Generator[None]:
        """Keep what is sent in its queue; it is delivered when the block ends."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            self._drain()

    def waiting(self, queue: Queue) -> tuple[int, ...]:
        """The numbers that wait in a queue, the oldest first."""
        return tuple(self._queues.get(queue, ()))

    # the port

    @property
    def identity(self) -> Identity:
        return self._who

    @property
    def topology(self) -> Topology:
        return self._topology

    def register_signal(self, num: int, target: str, handler: Handler) -> None:
        parse(target, self._topology)
        self._routes[num] = (target, handler)

    def signal_registered(self, num: int) -> bool:
        return num in self._routes

    def signal(self, num: int, timeout: float) -> None:
        route = self._routes.get(num)
        if route is None and not self._waiting[num]:
            raise SignalNotRegistered(num)
        where = queues(parse(route[0] if route else "worker", self._topology), self._topology)
        if any(len(self._queues.get(queue, ())) >= self._capacity for queue in where):
            # One process plays all: whoever sends is also the only one who could make room.
            self.refused += 1
            raise SignalQueueFull(num, route[0] if route else "worker", timeout, itself=True)
        self.sent.append(Sent(num, self._who, where))
        for queue in where:
            self._queues.setdefault(queue, deque()).append(num)
            self._order.append(queue)
        self._drain()

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        """See the port. A limited wait lets `timeout` pass on the clock; an endless one waits for another thread."""
        me, seen = self._who, self._arrivals
        self._waiting[num] += 1
        try:
            while True:
                arrived = self._arrived_since(seen, num, me)
                if arrived is not None:
                    return arrived
                if timeout is not None:
                    self.clock.sleep(timeout)
                    arrived = self._arrived_since(seen, num, me)
                    if arrived is None:
                        raise WaitTimeout(num, timeout)
                    return arrived
                with self._changed:
                    self._changed.wait_for(lambda: self._arrivals > seen)
        finally:
            self._waiting[num] -= 1

    def on_fork(self, hook: Callable[[], None]) -> None:
        """One process plays all, so a hook runs once for each that would be forked."""
        for who in self._topology.processes():
            with self.playing(who):
                hook()

    def in_farm(self, name: str) -> bool:
        farms = self._topology.farms
        return self._who.role == "mule" and any(f.name == name and self._who.number in f.mules for f in farms)

    def masterpid(self) -> int:
        return 0

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return tuple({"id": number, "pid": 0} for number in range(1, self._topology.workers + 1))

    def opt(self) -> Mapping[str, Any]:
        return {}

    def version(self) -> str:
        return "inline"

    # within

    def _drain(self) -> None:
        if self._draining or self._holding:
            return
        self._draining = True
        try:
            while self._order and not self._holding:
                queue = self._order.popleft()
                self._run(self._queues[queue].popleft(), readers_of(queue, self._topology))
        finally:
            self._draining = False

    def _run(self, num: int, readers: tuple[Identity, ...]) -> None:
        route = self._routes.get(num)
        if route is not None:
            with self.playing(readers[0]):
                self.handled.append(Handled(num, readers[0], route[1](num)))
        with self._changed:
            self._arrivals += 1
            self._arrived.append((self._arrivals, num, readers))
            self._changed.notify_all()

    def _arrived_since(self, seen: int, num: int | None, me: Identity) -> int | None:
        for serial, arrived, readers in self._arrived:
            if serial > seen and (arrived == num or (num is None and me in readers)):
                return arrived
        return None

    def _identity_named(self, who: Identity | str) -> Identity:
        if isinstance(who, Identity):
            return who
        everybody = (Identity("master"), *self._topology.processes(), Identity("outside"))
        found = {str(identity): identity for identity in everybody}
        if who not in found:
            raise TargetError(who, "is no process of this server", tuple(found))
        return found[who]
