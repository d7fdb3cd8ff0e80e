"""The real `uwsgi` module as an engine: what uWSGI accepts and later fails on is refused at once."""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import uwsgi

from heliograph._core.signals.targets import parse, queues_read_by
from heliograph._core.stats.counters import SLOT_BYTES, Counters, ProcessCounters
from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.engines.uwsgi import introspection
from heliograph.engines.uwsgi.capacity import QueueCapacity
from heliograph.engines.uwsgi.flow_control import INITIAL_PAUSE, FlowControl, TargetCredit
from heliograph.engines.uwsgi.scheduler_thread import SchedulerThread
from heliograph.exceptions import (
    AlreadyRegistered,
    NotSupported,
    RegistrationError,
    ServerNotReady,
    SignalNotRegistered,
    SignalQueueFull,
    WaitFailed,
)
from heliograph.interfaces import Clock, Handler
from heliograph.models import NO_OPTIONS, SIGNALS, HandlerOptions, Identity, Topology, Trigger
from heliograph.timing.clocks import SystemClock

_LOG = logging.getLogger("heliograph.uwsgi")

_HEADER_BYTES = 64
_PICKUP_TIMEOUT = 0.02
"""Seconds after which an unregistered signal that nobody took is sent again to reach the one who waits."""
_MAX_COPIES = 128

_SPURIOUS_WAKEUP, _FAILURES = 0.001, 1000
"""So many waits in a row that ended in less than so many seconds are a failure, not bad luck."""

_SCHEDULER_PROCESS = Identity("worker", 1)
"""The process that raises signals by itself."""

_MODULE_LEVEL = (
    "do it where the application is loaded (at module level), before the server forks; "
    "only what the master knows is routed"
)


class UwsgiEngine(ProcessLocalNames, NoWebServer):
    """Signals of the uWSGI server that this process belongs to."""

    name = "uwsgi"
    can_change_target = False

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self._topology = introspection.read_topology()
        top = self._topology
        self._slots = top.workers + top.mules + top.spoolers + 1
        memory = memoryview(mmap.mmap(-1, _HEADER_BYTES + self._slots * SLOT_BYTES))
        self.counters = Counters(memory[_HEADER_BYTES:], self._slots)
        loaded_late = introspection.is_lazy() and introspection.identify().role != "master"
        self._capacity = QueueCapacity(top, memory[:1], lazy=loaded_late)
        self._flow_control: list[TargetCredit | None] = [None] * SIGNALS
        self._ways = FlowControl(top, self._capacity, self.clock)
        self._handlers: dict[int, Handler] = {}
        self._hooks: list[Callable[[], None]] = []
        self._triggers: dict[str, Trigger] = {}
        self._scheduler: SchedulerThread | None = None
        self._pid = 0
        self._hooked = 0
        self._foreign_hook: Callable[[], object] = _nothing
        self._identity = Identity("external")
        self._slot: ProcessCounters
        self._sent: memoryview[int]
        self._raise = uwsgi.signal
        self._refresh_identity()
        earlier = getattr(uwsgi, "post_fork_hook", None)
        if earlier is not None:
            self._hooks.append(earlier)
        uwsgi.post_fork_hook = self._after_fork
        self._chain_post_fork_hook()
        os.register_at_fork(after_in_child=self._refresh_identity)

    # who and what

    @property
    def identity(self) -> Identity:
        if os.getpid() != self._pid:
            self._refresh_identity()
        return self._identity

    @property
    def topology(self) -> Topology:
        return self._topology

    def in_farm(self, name: str) -> bool:
        return bool(uwsgi.in_farm(name))

    def masterpid(self) -> int:
        return uwsgi.masterpid()

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return introspection.worker_records()

    def opt(self) -> Mapping[str, Any]:
        return introspection.options()

    def version(self) -> str:
        return uwsgi.version.decode()

    def on_fork(self, hook: Callable[[], None]) -> None:
        if self.identity.role == "master":
            self._hooks.append(hook)
        else:
            hook()

    # registering

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        process = self.identity
        if options.time_limit:
            raise NotSupported(
                "uWSGI has one time limit for all handlers of a kind of process: leave out time_limit, and start it "
                "with --harakiri, --mule-harakiri or --spooler-harakiri SECONDS"
            )
        _check_master(num)
        if process.role in ("mule", "spooler", "external"):
            raise RegistrationError(num, f"this is a {process.role}; {_MODULE_LEVEL}")
        if process.role == "worker":
            self._check_in_worker(num, target, process)
        elif uwsgi.signal_registered(num):
            raise AlreadyRegistered(
                num,
                "uWSGI has a handler for it already that was not registered through heliograph, and its master "
                "cannot replace one; use another number",
                old="(unknown: registered with uwsgi.register_signal)",
                new=options.name,
            )
        try:
            uwsgi.register_signal(num, target, self._handle)
        except ValueError as error:
            raise RegistrationError(num, f"uWSGI refused target {target!r}; its log says why") from error
        self._handlers[num] = handler
        self._flow_control[num] = self._ways.to(target)

    def _check_in_worker(self, num: int, target: str, process: Identity) -> None:
        if not introspection.is_lazy():
            raise RegistrationError(num, f"worker {process.number} is forked already; {_MODULE_LEVEL}")
        if parse(target, self._topology).text != "worker":
            raise RegistrationError(
                num,
                f"target {target!r} is silently ignored by uWSGI under --lazy-apps: its master routes by its own "
                "table and never loads the application; drop --lazy-apps, or register in a module that the master "
                "imports (--shared-pyimport MODULE), or use the target 'worker'",
            )

    # sources

    def add_trigger(self, trigger: Trigger) -> None:
        _check_master(trigger.num)
        if not uwsgi.has_threads:
            raise NotSupported(
                f"{trigger.name}: what raises signals by itself runs in a thread of worker 1, and this uWSGI has no "
                "threads; start it with --enable-threads"
            )
        if not self._topology.workers:
            raise NotSupported(f"{trigger.name}: what raises signals by itself runs in worker 1; start some --workers")
        process = self.identity
        if process.role != "master" and not introspection.is_lazy():
            raise RegistrationError(trigger.num, f"{process} is forked already; {_MODULE_LEVEL}")
        self._triggers[trigger.name] = trigger
        if process == _SCHEDULER_PROCESS:
            self._tick(trigger)

    def remove_trigger(self, name: str) -> None:
        self._scheduler_thread().remove(name)
        self._triggers.pop(name, None)

    def change_period(self, name: str, period: float) -> None:
        self._scheduler_thread().change_period(name, period)

    def _tick(self, trigger: Trigger) -> None:
        if self._scheduler is None:
            self._scheduler = SchedulerThread(self._send_at_once)
        self._scheduler.add(trigger)

    def _send_at_once(self, num: int) -> None:
        """Raise a source's signal, or say that there is no room. No sender was refused then: that is not counted."""
        target_credit = self._flow_control[num]
        if target_credit is not None and target_credit.credit <= 0:
            self._ways.acquire(target_credit, num, 0.0, self._identity)
        self.signal(num, 0.0)

    def _scheduler_thread(self) -> SchedulerThread:
        if self._scheduler is None:
            raise NotSupported(
                f"this is {self.identity}, and timers tick in {_SCHEDULER_PROCESS}: change or remove them there, "
                f"in a handler with the target {str(_SCHEDULER_PROCESS)!r}"
            )
        return self._scheduler

    def signal_registered(self, num: int) -> bool:
        return bool(uwsgi.signal_registered(num))

    # sending

    def signal(self, num: int, timeout: float) -> None:
        target_credit = self._flow_control[num]
        if target_credit is None or target_credit.credit <= 0:
            target_credit = self._acquire(num, timeout)
            if target_credit is None:
                return
        target_credit.credit -= 1
        self._raise(num)
        self._sent[num] += 1

    def _acquire(self, num: int, timeout: float) -> TargetCredit | None:
        """The gate to the number's target, with credit. None where the signal has been delivered already."""
        if os.getpid() != self._pid:
            # Credit ends with a fork (none is given in the master), so this is the place to notice one.
            self._refresh_identity()
        target_credit = self._flow_control[num]
        if target_credit is None or self._identity.role == "master":
            target_credit = self._acquire_unknown(num, timeout)
        if target_credit is not None and target_credit.credit <= 0:
            self._open(target_credit, num, timeout)
        return target_credit

    def _acquire_unknown(self, num: int, timeout: float) -> TargetCredit | None:
        """A number that was not registered here: somebody may wait for it, or it is raw uWSGI's."""
        if self._identity.role == "master":
            raise ServerNotReady(
                f"signal {num} was not sent: the server is still loading the application, and nothing is there to "
                "take it; send from a request, a handler or a post-fork hook"
            )
        if uwsgi.signal_registered(num):
            return self._ways.unknown_target  # registered by other means: who knows where it goes
        if not self.counters.total("waiters", num):
            raise SignalNotRegistered(num)
        self._deliver_to_waiter(num, timeout)
        return None

    def _open(self, target_credit: TargetCredit, num: int, timeout: float) -> None:
        try:
            self._ways.acquire(target_credit, num, timeout, self._identity)
        except SignalQueueFull:
            self._slot.count_rejected()
            raise

    def _deliver_to_waiter(self, num: int, timeout: float) -> None:
        """Send an unregistered signal until the process that waits for it has it.

        uWSGI gives it to the first worker that is free; one that does not wait logs an error and drops it. So each
        attempt sends twice as many as the one before, until they are too many for the idle ones.
        """
        target_credit = self._ways.to("worker")
        before = self.counters.total("started", num)
        deadline = self.clock.monotonic() + timeout
        copies = 1
        while self.counters.total("waiters", num):
            for _ in range(copies):
                self._open(target_credit, num, timeout)
                target_credit.credit -= 1
                uwsgi.signal(num)
            copies = min(2 * copies, _MAX_COPIES)
            retry_at = min(self.clock.monotonic() + _PICKUP_TIMEOUT, deadline)
            while self.clock.monotonic() < retry_at:
                if self.counters.total("started", num) > before:
                    self._slot.sent[num] += 1
                    return
                self.clock.sleep(INITIAL_PAUSE)
            if self.clock.monotonic() >= deadline:
                break
        self._slot.count_rejected()
        raise SignalNotRegistered(num)

    # receiving

    def _handle(self, num: int) -> None:
        if os.getpid() != self._pid:
            self._refresh_identity()
        slot = self._slot
        slot.started[num] += 1
        try:
            failure = self._handlers[num](num)
        except KeyboardInterrupt:
            # uWSGI would print it and go on; anywhere else it ends the process.
            raise SystemExit(130) from None
        if failure is None:
            slot.done[num] += 1
        else:
            slot.failed[num] += 1

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        if timeout is not None:
            raise NotSupported(
                "uWSGI cannot interrupt a wait: leave out the timeout, or raise the signal from a timer as well"
            )
        self._check_can_arrive(num)
        waiting = self._slot.waiters
        if num is not None:
            waiting[num] += 1
        try:
            self._wait_on(num)
        finally:
            if num is not None:
                waiting[num] -= 1
        received = uwsgi.signal_received()
        if received not in self._handlers:
            self._slot.started[received] += 1
            self._slot.done[received] += 1
        return received

    def _wait_on(self, num: int | None) -> None:
        """Wait, and again where another process took the signal that woke this one: uWSGI calls that an error."""
        failures = 0
        while True:
            began = self.clock.monotonic()
            try:
                uwsgi.signal_wait(*(() if num is None else (num,)))
            except SystemError as error:
                failures = failures + 1 if self.clock.monotonic() - began < _SPURIOUS_WAKEUP else 1
                if failures >= _FAILURES:
                    raise WaitFailed("uWSGI failed to wait for a signal; its log says why") from error
            else:
                return

    def _check_can_arrive(self, num: int | None) -> None:
        process = self.identity
        if process.role in ("master", "external"):
            raise ServerNotReady("nothing arrives in the master; wait in a worker, a mule or a spooler")
        if process.role == "worker" and introspection.threads() > 1:
            raise NotSupported(
                "with --threads any thread of this worker may take the signal, and the one that waits would miss it: "
                "wait in a mule, or run the workers without --threads"
            )
        if num is None:
            return
        target_credit = self._flow_control[num] or self._ways.to("worker")
        mine = set(queues_read_by(process, self._topology))
        if mine.isdisjoint(target_credit.queues):
            where = (
                target_credit.target.text
                if self._flow_control[num]
                else "worker (where uWSGI sends what nobody registered)"
            )
            raise NotSupported(f"signal {num} goes to {where} and never arrives in {process}: wait for it there")
        if target_credit.target.kind == "farm":
            raise NotSupported("uWSGI's wait does not look at farms: wait for a signal that goes to mule or muleN")

    # forks

    def _chain_post_fork_hook(self) -> None:
        """Have whoever sets uWSGI's one hook after us called by ours, instead of in its place: timers stand on it."""
        engine = self

        class Module(ModuleType):
            def __setattr__(self, name: str, value: Any) -> None:
                if name == "post_fork_hook":
                    engine._foreign_hook = value
                else:
                    super().__setattr__(name, value)

        uwsgi.__class__ = Module  # pyright: ignore[reportAttributeAccessIssue]

    def _after_fork(self) -> None:
        if self._hooked == os.getpid():  # by a hook that calls the one that it found
            return
        self._hooked = os.getpid()
        _keep_descriptor_0()
        self._refresh_identity()
        if self._identity == _SCHEDULER_PROCESS:
            for trigger in self._triggers.values():
                self._tick(trigger)
        for hook in (*self._hooks, self._foreign_hook):
            try:
                hook()
            except KeyboardInterrupt:  # uWSGI would print it and go on
                raise SystemExit(130) from None
            except Exception:  # noqa: BLE001 - one that raises does not stop the others
                _LOG.exception("a post-fork hook of another library failed in %s", self._identity)

    def _refresh_identity(self) -> None:
        """Find out who this process is, and where it counts."""
        self._pid = os.getpid()
        self._identity = introspection.identify()
        self._slot = self.counters.slots[self._slot_number()]
        self._sent = self._slot.sent
        self._ways.reset()
        if self._identity.role != "master":
            self._capacity.after_fork(self._identity)

    def _slot_number(self) -> int:
        top, process = self._topology, self._identity
        before = {"worker": 0, "mule": top.workers, "spooler": top.workers + top.mules}
        number = before.get(process.role, self._slots - 1) + process.number - (process.role in before)
        return min(number, self._slots - 1)


def _check_master(num: int) -> None:
    if not uwsgi.masterpid():
        raise RegistrationError(num, "this uWSGI runs without a master; start it with --master")


def _nothing() -> None:
    """The hook of nobody."""


def _keep_descriptor_0() -> None:
    """Have something at descriptor 0, before a hook opens a file or socket there.

    uWSGI's spooler puts /dev/null there right after its post-fork hooks, whatever it is (`core/spooler.c`).
    """
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)
