"""`LocalEngine`: sending and registering in a process of our own server.

One hop: the sender writes the record to the receivers' pipe itself. A full pipe holds it back (the kernel wakes it
when there is room), then raises.
"""

from __future__ import annotations

import importlib.metadata
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from os import write
from typing import Any

from heliograph._core.accounts import SLOT_BYTES, Accounts, Slot
from heliograph._core.records import Record, encode
from heliograph._core.routes import Route
from heliograph._core.sources import to_json
from heliograph._core.targets import parse, queues, readers_of
from heliograph.engines.clock import SystemClock
from heliograph.engines.local.memory import Memory
from heliograph.engines.local.queues import server_queues
from heliograph.engines.local.receiver import LimitedHandler, Receiver
from heliograph.engines.local.wiring import Wiring, report
from heliograph.engines.unhosted import Unhosted
from heliograph.exceptions import (
    RegistrationError,
    ServerNotReady,
    SignalNotRegistered,
    SignalQueueFull,
)
from heliograph.port import Clock, Handler
from heliograph.values import NO_OPTIONS, SIGNALS, HandlerOptions, Identity, Queue, Source, Timer, Topology

Delivery = tuple[int, bytes]
"""A descriptor to write to, and the record to write."""


_TEMPLATE = Identity("master")
"""Who loads the application for all."""


class LocalEngine(Unhosted):
    """Signals of the heliograph server that this process belongs to."""

    name = "local"
    reroutes = True
    receiver_class = Receiver

    def __init__(self, wiring: Wiring, who: Identity = _TEMPLATE) -> None:
        self.clock: Clock = SystemClock()
        self.wiring = wiring
        self.memory = Memory(wiring.memory, wiring.topology)
        self.accounts = self.memory.accounts
        self.receiver: Receiver | None = None
        self.loading = True
        self._topology = wiring.topology
        self._queues = {queue: number for number, queue in enumerate(server_queues(wiring.topology))}
        self._who = who
        self._hooks: list[Callable[[], None]] = []
        self._handlers: dict[int, LimitedHandler] = {}
        self._targets: dict[int, str] = {}
        self._direct: list[Delivery | None] = [None] * SIGNALS
        self._sources: dict[str, Source] = {}
        self._broadcast: dict[int, list[Delivery]] = {}
        self._slot = self._slot_of(who) if who == _TEMPLATE else self._guest_slot()
        self._sent = self._slot.sent
        os.register_at_fork(before=_hold_sigterm, after_in_parent=_let_sigterm_come, after_in_child=self._after_fork)

    # who and what

    @property
    def identity(self) -> Identity:
        return self._who

    @property
    def topology(self) -> Topology:
        return self._topology

    def in_farm(self, name: str) -> bool:
        mine = self._topology.farms_of(self._who.number) if self._who.role == "mule" else ()
        return any(self._topology.farms[number - 1].name == name for number in mine)

    def masterpid(self) -> int:
        return self.wiring.master

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        workers = [who for who in self._topology.processes() if who.role == "worker"]
        return tuple({"id": who.number, "pid": self._slot_of(who).pid} for who in workers)

    def opt(self) -> Mapping[str, Any]:
        farms = [f"{farm.name}:{','.join(map(str, farm.mules))}" for farm in self._topology.farms]
        counts = {"workers": self._topology.workers, "mules": self._topology.mules}
        return {**{name: str(count) for name, count in counts.items()}, "farm": farms, "app": self.wiring.app}

    def version(self) -> str:
        return importlib.metadata.version("heliograph")

    def on_fork(self, hook: Callable[[], None]) -> None:
        if self._who.role in ("master", "outside"):
            self._hooks.append(hook)
        else:
            hook()

    # registering

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        if not self.loading:
            if self._targets.get(num) == target:
                return  # the handler is replaced in this process
            raise RegistrationError(
                num,
                f"{self._who} runs already; do it where the application is loaded (at module level), so that every "
                "process has the handler and every sender the route",
            )
        self._accept(num, target, handler, options)

    def _accept(self, num: int, target: str, handler: Handler, options: HandlerOptions) -> None:
        limit = self.wiring.time_limit if options.time_limit is None else options.time_limit
        self._handlers[num] = (handler, limit)
        self._targets[num] = target
        if self._who.role == "master":  # with --lazy-apps the others load what the template has tried already
            self.memory.staged[num] = Route(target, options.name, options.redeliver, options.remote)

    def add_source(self, source: Source) -> None:
        if not self.loading:
            raise RegistrationError(
                source.num, f"{self._who} runs already; declare what raises it where the application is loaded"
            )
        self._sources[source.name] = source

    def remove_source(self, name: str) -> None:
        if self.loading:
            self._sources.pop(name, None)
        else:
            report(self.wiring, source=name)

    def change_period(self, name: str, period: float) -> None:
        known = self._sources.get(name)
        if self.loading and known is not None and isinstance(known.what, Timer):
            self._sources[name] = replace(known, what=replace(known.what, period=period))
        elif not self.loading:
            report(self.wiring, source=name, period=period)

    def signal_registered(self, num: int) -> bool:
        return num in self._targets or (not self.loading and self.memory.live[num] is not None)

    def name_signal(self, name: str, free: Callable[[int], bool]) -> int:
        return self.memory.name_signal(name, free)

    def signal_named(self, num: int) -> bool:
        return bool(self.memory.names[num])

    # sending

    def signal(self, num: int, timeout: float) -> None:
        delivery = self._direct[num]
        if delivery is None:
            self._deliver(num, self._broadcast.get(num) or self._deliveries(num), timeout)
        else:
            try:
                write(*delivery)
            except BlockingIOError:
                self._deliver(num, [delivery], timeout)
        self._sent[num] += 1

    def _deliveries(self, num: int) -> list[Delivery]:
        """The records that a signal is, when it is not a plain one of a single queue."""
        if self._who.role == "master":
            raise ServerNotReady(
                f"signal {num} was not sent: the server is still loading the application, and nothing is there to "
                "take it; send from a handler or a post-fork hook"
            )
        target = self._target_of(num)
        if target:
            where = queues(parse(target, self._topology), self._topology, self._running_workers())
            return [self._delivery(queue, num) for queue in where]
        waiting = [who for who in self._topology.processes() if self._slot_of(who).waiting[num]]
        if not waiting:
            raise SignalNotRegistered(num, self.wiring.app)
        return [self._delivery(self._own_queue(who), num) for who in waiting]

    def _target_of(self, num: int) -> str:
        """Where a number goes, as this process or else the server has it; empty if nowhere."""
        route = None if num in self._targets else self.memory.live[num]
        return route.target if route else self._targets.get(num, "")

    def _deliver(self, num: int, deliveries: list[Delivery], timeout: float) -> None:
        """Write all records or none, as long as it takes, at most `timeout` seconds."""
        if not deliveries:
            return  # no worker is active
        if len(deliveries) == 1:
            try:
                write(*deliveries[0])
            except BlockingIOError:
                pass
            else:
                return
        deadline = self.clock.monotonic() + timeout
        self._await_room(num, [fd for fd, _ in deliveries], deadline, timeout)
        for fd, record in deliveries:
            while True:
                try:
                    write(fd, record)
                except BlockingIOError:  # somebody was faster; the others have theirs, so this one must be delivered
                    self._await_room(num, [fd], max(deadline, self.clock.monotonic() + timeout), timeout)
                else:
                    break

    def _await_room(self, num: int, fds: list[int], deadline: float, timeout: float) -> None:
        """Return when every one of these pipes has room. Raises `SignalQueueFull` at the deadline."""
        full = dict.fromkeys(fds)
        milliseconds = 0.0  # the first look does not wait: mostly there is room
        while True:
            poll = select.poll()
            for fd in full:
                poll.register(fd, select.POLLOUT)
            for fd, _ in poll.poll(milliseconds):
                del full[fd]
            if not full:
                return
            alone = self._only_reader(full)
            left = deadline - self.clock.monotonic()
            if alone or left <= 0:
                self._slot.refuse()
                raise SignalQueueFull(num, self._target_of(num), timeout, itself=alone)
            milliseconds = left * 1000

    def _only_reader(self, full: Mapping[int, None]) -> bool:
        """Whether one of these pipes is emptied by nobody but this very thread."""
        if self.receiver is None or threading.get_ident() != self.receiver.thread:
            return False
        fds = {self.wiring.queues[number][1]: queue for queue, number in self._queues.items()}
        return any(self._readers(fds[fd]) == (self._who,) for fd in full)

    def _readers(self, queue: Queue) -> tuple[Identity, ...]:
        return readers_of(queue, self._topology)

    def _delivery(self, queue: Queue, num: int) -> Delivery:
        number = self._queues[queue]
        return self.wiring.queues[number][1], encode(Record(num, number))

    def _reading_end(self, queue: Queue) -> int:
        return self.wiring.queues[self._queues[queue]][0]

    def _own_queue(self, who: Identity) -> Queue:
        assert who.role in ("worker", "mule", "spooler")
        return Queue(who.role, who.number)

    def _running_workers(self) -> tuple[int, ...]:
        return tuple(worker["id"] for worker in self.workers() if worker["pid"])

    # waiting

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        if self.receiver is None:
            raise ServerNotReady("nothing arrives here; wait in a worker, a mule or a spooler")
        return self.receiver.wait(num, timeout)

    # becoming

    def become(self, who: Identity) -> Receiver:
        """Be that process, in the thread that is to receive: its queues, its slot, its hand. Hooks are still to run."""
        self._who = who
        self._use(self._slot_of(who))
        self.memory.free_guest_slot()
        self._slot.pid = os.getpid()
        mine = [self._own_queue(who), *(q for q in self._queues if not q.number and q.kind == who.role)]
        mine += [Queue("farm", number) for number in self._topology.farms_of(who.number) if who.role == "mule"]
        self.receiver = self.receiver_class(
            own=[self._reading_end(queue) for queue in mine if self._readers(queue) == (who,)],
            shared=[self._reading_end(queue) for queue in mine if self._readers(queue) != (who,)],
            hand=self.memory.hand(who),
            slot=self._slot,
            handlers=self._handlers,
            max_signals=self.wiring.max_signals,
        )
        return self.receiver

    def loaded(self) -> None:
        """The application is loaded: nothing can be registered any more."""
        self.loading = False
        if self._who.role == "master":
            os.pwrite(self.wiring.sources, to_json(self._sources.values()).encode(), 0)

    def missing_handlers(self) -> tuple[int, ...]:
        """The signals that come to workers, and that nothing here handles."""
        routes = ((num, self.memory.live[num]) for num in range(SIGNALS) if num not in self._handlers)
        return tuple(num for num, route in routes if route and parse(route.target, self._topology).kind == "worker")

    def open(self) -> None:
        """Begin to send, and run what was to run after the fork."""
        for num, text in list(self._targets.items()):  # a thread may be importing more, beside a web server
            target = parse(text, self._topology)
            deliveries = [self._delivery(queue, num) for queue in queues(target, self._topology)]
            if len(deliveries) == 1:
                self._direct[num] = deliveries[0]
            elif target.scope == "all":
                self._broadcast[num] = deliveries
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()

    def _slot_of(self, who: Identity) -> Slot:
        return self.accounts.slots[self.memory.slot_number(who)]

    def _use(self, slot: Slot) -> None:
        self._slot, self._sent = slot, slot.sent

    def _after_fork(self) -> None:
        if self._who != _TEMPLATE:  # else forked to become a process of the server
            self._be_a_guest()
        _let_sigterm_come()

    def _be_a_guest(self) -> None:
        """In a process that the application forked: send as before, count elsewhere, receive nothing."""
        if self.receiver is not None:
            self.receiver.abandon()
            self.receiver = None
        self._use(self._guest_slot())

    def _guest_slot(self) -> Slot:
        number = self.memory.claim_guest_slot()
        return self.accounts.slots[number] if number is not None else _uncounted()


class _Mask(threading.local):
    before: Iterable[int] = ()


_MASK = _Mask()


def _hold_sigterm() -> None:
    """Before a fork: what comes for the child waits until the child has left our handler of it, and is not lost."""
    _MASK.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_sigterm_come() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASK.before)


def _uncounted() -> Slot:
    return Accounts(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
