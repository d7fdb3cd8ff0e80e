"""`LocalEngine`: registers handlers and sends signals in a process of a heliograph server.

A send is one hop: the sender writes the record to the pipe of the receivers itself. If the pipe is full, the sender
waits until the kernel reports space, and raises `SignalQueueFull` after its timeout.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from os import write
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph._core.schedule.trigger_codec import to_json
from heliograph._core.signals.records import Record, encode
from heliograph._core.signals.routes import Route
from heliograph._core.signals.targets import parse, queues, varies
from heliograph._core.signals.wakeups import wakeup_options, wakeup_target
from heliograph._core.stats.counters import SLOT_BYTES, Counters, ProcessCounters
from heliograph.engines.left_tasks import warn_of_left_tasks
from heliograph.engines.local.coalescing import CoalescedSignals
from heliograph.engines.local.delivery import Delivery, QueueStaysFull, write_all
from heliograph.engines.local.hub_receiver import receiver_class
from heliograph.engines.local.receiver import LimitedHandler, Receiver
from heliograph.engines.local.sigterm_mask import block_sigterm, unblock_sigterm
from heliograph.engines.local.stamps import Stamps, stamp
from heliograph.engines.local.triggers import LocalTriggers
from heliograph.engines.local.wakeups import LocalWakeups
from heliograph.engines.running_tasks import RUNNING_TASKS
from heliograph.engines.task_stores import LazyStore, not_loaded
from heliograph.engines.wakeup_handlers import Turn, WakeupHandlers
from heliograph.exceptions import (
    RegistrationError,
    ServerNotReady,
    SignalNotRegistered,
    SignalQueueFull,
)
from heliograph.interfaces import Handler
from heliograph.ipc.inherited import InheritedState
from heliograph.ipc.proc import resident_memory
from heliograph.models import NO_OPTIONS, SIGNALS, HandlerOptions, Identity, Queue

if TYPE_CHECKING:
    from heliograph.interfaces.store import TaskStore

_LOADER = Identity("master")
"""Identity of a fork server until it forks: it loads the application for all processes."""


class LocalEngine(LocalTriggers):
    """Signals of the heliograph server that this process belongs to."""

    name = "local"
    can_change_target = True
    receiver_class: type[Receiver] = Receiver

    def __init__(self, inherited: InheritedState, process: Identity = _LOADER) -> None:
        super().__init__(inherited, process)
        self.receiver: Receiver | None = None
        self._handlers: dict[int, LimitedHandler] = {}
        self._targets: dict[int, str] = {}
        self._stamps = Stamps()
        self._direct = self._stamps.direct
        self._coalesced = CoalescedSignals(self.memory.parked)
        self._use(self._slot_of(process) if process == _LOADER else self._sender_only_slot())
        self._wakeups = WakeupHandlers(lambda: self.memory.wakeups.closed)
        self._unknown_targets: list[str] = []
        """Targets of tasks for which the server wakes no process."""
        self._store = LazyStore(lambda: (Path(inherited.settings.tasks), inherited.settings.task_sync))
        self._bells = LocalWakeups(inherited, self.memory, self._count_sent)
        os.register_at_fork(before=block_sigterm, after_in_parent=unblock_sigterm, after_in_child=self._after_fork)

    # registering

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        if not self.loading:
            if self._targets.get(num) == target:
                return  # only the handler changes, in this process
            raise RegistrationError(
                num,
                f"{self._identity} is running already. Register where the application is loaded (at module level), so "
                "that every process has the handler and every sender the route",
            )
        self._wakeups.check_free(num, options.name)
        self._accept(num, target, handler, options)

    def _accept(self, num: int, target: str, handler: Handler, options: HandlerOptions) -> None:
        limit = self.inherited.settings.time_limit if options.time_limit is None else options.time_limit
        self._handlers[num] = (handler, limit)
        self._targets[num] = target
        self._coalesced.register(num, coalesce=options.coalesce)
        if self._identity.role == "master":  # with --lazy-apps the fork server has loaded it before, too
            self.memory.staged[num] = Route(target, options.name, options.redeliver, options.remote, options.wakeup)

    def signal_registered(self, num: int) -> bool:
        return num in self._targets or (not self.loading and self.memory.live[num] is not None)

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        return self.memory.allocate_name(name, free, self.inherited.generation)

    def has_name(self, num: int) -> bool:
        return bool(self.memory.names[num])

    # sending

    def signal(self, num: int, timeout: float) -> None:
        delivery = self._direct[num]
        if delivery is None:
            known = self._stamps.take(num)
            if known is None:
                self._send_to_changing(num, timeout)
            else:
                self._deliver(num, known, timeout)
        else:
            try:
                write(*delivery)
            except OSError:  # it is full, or closed
                self._stamps.restart()
                self._deliver(num, stamp([delivery]), timeout)
        self._sent[num] += 1

    def _send_to_changing(self, num: int, timeout: float) -> None:
        """Send to receivers that are not in `_direct` or `_broadcast`, and count the records."""
        if num in self._coalesced.receivers:
            self._deliver(num, deliveries := stamp(self._coalesced.deliveries(num)), timeout)
            self._slot.coalesced[num] += len(self._coalesced.receivers[num]) - len(deliveries)
            return
        deliveries = stamp(self._deliveries(num))
        if not deliveries:
            self._slot.count_rejected(self.clock.monotonic())
            raise ServerNotReady(
                f"signal {num} was not sent: no worker is active. Send it when one runs, or use the target 'workers'"
            )
        self._deliver(num, deliveries, timeout)
        self._slot.copies[num] += len(deliveries)

    def _deliveries(self, num: int) -> list[Delivery]:
        """Return the deliveries of a signal that is not in `_direct` or `_broadcast`."""
        if self._identity.role == "master":
            raise ServerNotReady(
                f"signal {num} was not sent: the server is still loading the application. Send it from a handler or a "
                "post-fork hook"
            )
        target = self._target_of(num)
        if target:
            return [self._delivery(queue, num) for queue in self._receivers(target)]
        waiters = [process for process in self._topology.processes() if self._slot_of(process).waiters[num]]
        if not waiters:
            raise SignalNotRegistered(num, self.inherited.settings.app)
        return [self._delivery(self._own_queue(process), num) for process in waiters]

    def _target_of(self, num: int) -> str:
        """Return the target of a number in this process, or else on the server. Empty if it is not registered."""
        route = None if num in self._targets else self.memory.live[num]
        return route.target if route else self._targets.get(num, "")

    def _deliver(self, num: int, deliveries: Sequence[Delivery], timeout: float) -> None:
        """Write all records. Raises: SignalQueueFull."""
        written: list[Delivery] = []
        try:
            write_all(deliveries, timeout, self.clock, self._is_only_reader, written)
        except QueueStaysFull as full:
            self._slot.count_rejected(self.clock.monotonic())
            facts = {"delivered": self._names_of(written), "missing": self._names_of(deliveries[len(written) :])}
            error = SignalQueueFull(num, self._target_of(num), timeout, self_deadlock=full.self_deadlock, **facts)
            raise error from None
        finally:
            if written and len(written) < len(deliveries):
                # Some receivers have it. A handler of a Unix signal may have raised an exception between the writes.
                self._sent[num] += 1
                self._slot.copies[num] += len(written)
                self._slot.skipped[num] += len(deliveries) - len(written)

    def _names_of(self, deliveries: Iterable[Delivery]) -> tuple[str, ...]:
        """Return the names of the queues that deliveries go to."""
        names = {self.inherited.queues[number][1]: str(queue) for queue, number in self._queues.items()}
        return tuple(names[fd] for fd, _ in deliveries)

    def _is_only_reader(self, fds: Collection[int]) -> bool:
        """Return True if the calling thread is the only reader of one of these pipes, so that it waits for itself."""
        if self.receiver is None or threading.get_ident() != self.receiver.thread:
            return False
        queues_by_fd = {self.inherited.queues[number][1]: queue for queue, number in self._queues.items()}
        return any(self._readers(queues_by_fd[fd]) == (self._identity,) for fd in fds)

    def _delivery(self, queue: Queue, num: int) -> Delivery:
        number = self._queues[queue]
        return self.inherited.queues[number][1], encode(Record(num, number))

    def _reading_end(self, queue: Queue) -> int:
        return self.inherited.queues[self._queues[queue]][0]

    def _own_queue(self, process: Identity) -> Queue:
        assert process.role in ("worker", "mule", "spooler")
        return Queue(process.role, process.number)

    # wake-ups

    def on_wake(self, target: str, run: Turn) -> None:
        resolved = wakeup_target(target, self._topology)[0].text
        if self._wakeups.replace(target, run):
            return
        if self._identity.role == "master":
            num: int | None = self.memory.allocate_wakeup(target, lambda num: num not in self._targets)
        else:
            num = self.memory.find_wakeup(target)
        if num is None:
            self._unknown_targets.append(target)
        else:
            self._accept(num, resolved, self._wakeups.add(target, num, run), wakeup_options(target))

    def wake(self, target: str) -> None:
        if self._identity.role != "master":  # each process that this one forks looks for tasks when it starts
            self._bells.wake(target)

    def wake_at(self, target: str, when: float) -> None:
        if self._identity.role != "master":
            self._bells.wake_at(target, when)

    def _count_sent(self, num: int) -> None:
        self._sent[num] += 1

    def _look_for_tasks(self) -> None:
        """Wake this process for each target that it belongs to: a killed process may have left tasks."""
        for target in self._wakeups.numbers:
            if self._identity in self._readers(wakeup_target(target, self._topology)[1]):
                self._bells.wake(target, again=True)  # the one of a worker that had left was dropped with its queue

    def task_store(self) -> TaskStore:
        if self._identity.role == "master":
            raise not_loaded()
        return self._store.get()

    # waiting

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        if self.receiver is None:
            raise ServerNotReady("this process gets no signals. Wait in a worker, a mule or a spooler")
        return self.receiver.wait(num, timeout)

    # becoming a process of the server

    def become_process(self, process: Identity) -> Receiver:
        """Become that process, in the thread that will receive. `start` runs the hooks afterwards."""
        self._identity = process
        self._use(self._slot_of(process))
        self._slot.pid = os.getpid()
        self.memory.free_sender_only_slot()  # last, so that the master always knows a slot of this process
        read = [self._own_queue(process), *(q for q in self._queues if not q.number and q.kind == process.role)]
        read += [Queue("farm", number) for number in self._topology.farms_of(process.number) if process.role == "mule"]
        shared = [queue for queue in read if self._readers(queue) != (process,)]
        plain = receiver_class(self.receiver_class, self.inherited.settings)
        make: Callable[..., Receiver] = plain
        if self._coalesced.nums or self.loading:  # with --lazy-apps the application is loaded later
            make = self._coalesced.receiver_class(plain, process, frozenset(self._queues[queue] for queue in shared))
        self.receiver = make(
            own=[self._reading_end(queue) for queue in read if queue not in shared],
            shared=[self._reading_end(queue) for queue in shared],
            in_flight=self.memory.in_flight(process),
            slot=self._slot,
            handlers=self._handlers,
            max_signals=self.inherited.settings.max_signals,
        )
        self.receiver.on_drain, self.receiver.hidden = self._run_drain_hooks, self._wakeups
        self.receiver.share_measures(self.memory.process_durations(process), self.memory.batch_since(process))
        self.receiver.measures.on_pause = self._stamps.restart
        RUNNING_TASKS.show_in(self.memory.activity(process))
        return self.receiver

    def freeze_registration(self) -> None:
        """Refuse registrations from now on, because the application is loaded."""
        self.loading = False
        if self._identity.role == "master":
            os.pwrite(self.inherited.triggers, to_json(self._triggers.values()).encode(), 0)

    def missing_handlers(self) -> tuple[int, ...]:
        """Return the signals that go to workers and have no handler in this process."""
        routes = ((num, self.memory.live[num]) for num in range(SIGNALS) if num not in self._handlers)
        return tuple(num for num, route in routes if route and parse(route.target, self._topology).kind == "worker")

    def start(self) -> None:
        """Prepare sending, and run the post-fork hooks and those for the start."""
        for num, text in list(self._targets.items()):  # in a web worker, another thread may still register
            target = parse(text, self._topology)
            receivers = queues(target, self._topology)
            deliveries = [self._delivery(queue, num) for queue in receivers]
            if num in self._coalesced.nums:
                if target.scope != "active" and not varies(target, self._topology):
                    self._coalesced.prepare(num, zip(deliveries, map(self._readers, receivers), strict=True))
            elif (len(deliveries) == 1 and target.scope != "active") or (
                target.scope == "all" and not varies(target, self._topology)
            ):
                self._stamps.prepare(num, deliveries)
        self._run_fork_and_start_hooks()
        if self.receiver is not None:
            self.memory.activity(self._identity).ready_memory = resident_memory(os.getpid()) or 0
        self._look_for_tasks()
        if self._identity == Identity("spooler", 1):
            warn_of_left_tasks(self._store.directory)

    def _use(self, slot: ProcessCounters) -> None:
        self._slot, self._sent = slot, slot.sent
        slot.generation = self.inherited.generation

    def _after_fork(self) -> None:
        if self._identity != _LOADER:  # a fork server forks processes of the server
            self._become_sender_only()
        unblock_sigterm()

    def _become_sender_only(self) -> None:
        """In a process that the application forked, go on sending, with counters of its own, and receive nothing."""
        if self.receiver is not None:
            self.receiver.abandon()
            self.receiver = None
        self._use(self._sender_only_slot())

    def _sender_only_slot(self) -> ProcessCounters:
        number = self.memory.claim_sender_only_slot()
        return self.counters.slots[number] if number is not None else _uncounted()


def _uncounted() -> ProcessCounters:
    """Return counters that no other process reads, for a sender-only process without a slot."""
    return Counters(memoryview(bytearray(SLOT_BYTES)), 1).slots[0]
