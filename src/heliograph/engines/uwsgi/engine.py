"""The real `uwsgi` module as an engine: what uWSGI accepts and later fails on is refused at once."""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import uwsgi

from heliograph._core.accounts import SLOT_BYTES, Accounts, Slot
from heliograph._core.targets import parse, queues_read_by
from heliograph.engines.clock import SystemClock
from heliograph.engines.naming import OwnNames
from heliograph.engines.unhosted import Unhosted
from heliograph.engines.uwsgi import server
from heliograph.engines.uwsgi.gates import FIRST_PAUSE, Gate, Gates
from heliograph.engines.uwsgi.gauge import Gauge
from heliograph.engines.uwsgi.ticker import Ticker
from heliograph.exceptions import (
    AlreadyRegistered,
    NotSupported,
    RegistrationError,
    ServerNotReady,
    SignalNotRegistered,
    SignalQueueFull,
    WaitFailed,
)
from heliograph.port import Clock, Handler
from heliograph.values import NO_OPTIONS, SIGNALS, HandlerOptions, Identity, Source, Topology

_LOG = logging.getLogger("heliograph.uwsgi")

_HEADER_BYTES = 64
_PICKED_UP_WITHIN = 0.02
"""Seconds after which an unregistered signal that nobody took is sent again to reach the one who waits."""
_MOST_COPIES = 128

_IN_VAIN, _FAILURES = 0.001, 1000
"""So many waits in a row that ended in less than so many seconds are a failure, not bad luck."""

_TICKING = Identity("worker", 1)
"""The process that raises signals by itself."""

_MODULE_LEVEL = (
    "do it where the application is loaded (at module level), before the server forks; "
    "only what the master knows is routed"
)


class UwsgiEngine(OwnNames, Unhosted):
    """Signals of the uWSGI server that this process belongs to."""

    name = "uwsgi"
    reroutes = False

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self._topology = server.read_topology()
        top = self._topology
        self._slots = top.workers + top.mules + top.spoolers + 1
        memory = memoryview(mmap.mmap(-1, _HEADER_BYTES + self._slots * SLOT_BYTES))
        self.accounts = Accounts(memory[_HEADER_BYTES:], self._slots)
        loaded_late = server.is_lazy() and server.identify().role != "master"
        self._gauge = Gauge(top, memory[:1], lazy=loaded_late)
        self._gates: list[Gate | None] = [None] * SIGNALS
        self._ways = Gates(top, self._gauge, self.clock)
        self._handlers: dict[int, Handler] = {}
        self._hooks: list[Callable[[], None]] = []
        self._sources: dict[str, Source] = {}
        self._ticker: Ticker | None = None
        self._pid = 0
        self._hooked = 0
        self._later: Callable[[], object] = _nothing
        self._who = Identity("outside")
        self._slot: Slot
        self._sent: memoryview[int]
        self._raise = uwsgi.signal
        self._settle()
        earlier = getattr(uwsgi, "post_fork_hook", None)
        if earlier is not None:
            self._hooks.append(earlier)
        uwsgi.post_fork_hook = self._after_fork
        self._share_the_hook()
        os.register_at_fork(after_in_child=self._settle)

    # who and what

    @property
    def identity(self) -> Identity:
        if os.getpid() != self._pid:
            self._settle()
        return self._who

    @property
    def topology(self) -> Topology:
        return self._topology

    def in_farm(self, name: str) -> bool:
        return bool(uwsgi.in_farm(name))

    def masterpid(self) -> int:
        return uwsgi.masterpid()

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return server.worker_records()

    def opt(self) -> Mapping[str, Any]:
        return server.options()

    def version(self) -> str:
        return uwsgi.version.decode()

    def on_fork(self, hook: Callable[[], None]) -> None:
        if self.identity.role == "master":
            self._hooks.append(hook)
        else:
            hook()

    # registering

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        who = self.identity
        if options.time_limit:
            raise NotSupported(
                "uWSGI has one time limit for all handlers of a kind of process: leave out time_limit, and start it "
                "with --harakiri, --mule-harakiri or --spooler-harakiri SECONDS"
            )
        _check_master(num)
        if who.role in ("mule", "spooler", "outside"):
            raise RegistrationError(num, f"this is a {who.role}; {_MODULE_LEVEL}")
        if who.role == "worker":
            self._check_in_worker(num, target, who)
        elif uwsgi.signal_registered(num):
            raise AlreadyRegistered(
                num,
                "uWSGI has a handler for it already that was not registered through heliograph, and its master "
                "cannot replace one; use another number",
                old="(unknown: registered with uwsgi.register_signal)",
                new=options.name,
            )
        try:
            uwsgi.register_signal(num, target, self._take)
        except ValueError as error:
            raise RegistrationError(num, f"uWSGI refused target {target!r}; its log says why") from error
        self._handlers[num] = handler
        self._gates[num] = self._ways.to(target)

    def _check_in_worker(self, num: int, target: str, who: Identity) -> None:
        if not server.is_lazy():
            raise RegistrationError(num, f"worker {who.number} is forked already; {_MODULE_LEVEL}")
        if parse(target, self._topology).text != "worker":
            raise RegistrationError(
                num,
                f"target {target!r} is silently ignored by uWSGI under --lazy-apps: its master routes by its own "
                "table and never loads the application; drop --lazy-apps, or register in a module that the master "
                "imports (--shared-pyimport MODULE), or use the target 'worker'",
            )

    # sources

    def add_source(self, source: Source) -> None:
        _check_master(source.num)
        if not uwsgi.has_threads:
            raise NotSupported(
                f"{source.name}: what raises signals by itself runs in a thread of worker 1, and this uWSGI has no "
                "threads; start it with --enable-threads"
            )
        if not self._topology.workers:
            raise NotSupported(f"{source.name}: what raises signals by itself runs in worker 1; start some --workers")
        who = self.identity
        if who.role != "master" and not server.is_lazy():
            raise RegistrationError(source.num, f"{who} is forked already; {_MODULE_LEVEL}")
        self._sources[source.name] = source
        if who == _TICKING:
            self._tick(source)

    def remove_source(self, name: str) -> None:
        self._at_the_ticker().remove(name)
        self._sources.pop(name, None)

    def change_period(self, name: str, period: float) -> None:
        self._at_the_ticker().change_period(name, period)

    def _tick(self, source: Source) -> None:
        if self._ticker is None:
            self._ticker = Ticker(self._raise_at_once)
        self._ticker.add(source)

    def _raise_at_once(self, num: int) -> None:
        """Raise a source's signal, or say that there is no room. No sender was refused then: that is not counted."""
        gate = self._gates[num]
        if gate is not None and gate.credit <= 0:
            self._ways.open(gate, num, 0.0, self._who)
        self.signal(num, 0.0)

    def _at_the_ticker(self) -> Ticker:
        if self._ticker is None:
            raise NotSupported(
                f"this is {self.identity}, and timers tick in {_TICKING}: change or remove them there, in a handler "
                f"with the target {str(_TICKING)!r}"
            )
        return self._ticker

    def signal_registered(self, num: int) -> bool:
        return bool(uwsgi.signal_registered(num))

    # sending

    def signal(self, num: int, timeout: float) -> None:
        gate = self._gates[num]
        if gate is None or gate.credit <= 0:
            gate = self._open_gate(num, timeout)
            if gate is None:
                return
        gate.credit -= 1
        self._raise(num)
        self._sent[num] += 1

    def _open_gate(self, num: int, timeout: float) -> Gate | None:
        """The gate to the number's target, with credit. None where the signal has been delivered already."""
        if os.getpid() != self._pid:
            # Credit ends with a fork (none is given in the master), so this is the place to notice one.
            self._settle()
        gate = self._gates[num]
        if gate is None or self._who.role == "master":
            gate = self._gate_for_unknown(num, timeout)
        if gate is not None and gate.credit <= 0:
            self._open(gate, num, timeout)
        return gate

    def _gate_for_unknown(self, num: int, timeout: float) -> Gate | None:
        """A number that was not registered here: somebody may wait for it, or it is raw uWSGI's."""
        if self._who.role == "master":
            raise ServerNotReady(
                f"signal {num} was not sent: the server is still loading the application, and nothing is there to "
                "take it; send from a request, a handler or a post-fork hook"
            )
        if uwsgi.signal_registered(num):
            return self._ways.somewhere  # registered by other means: who knows where it goes
        if not self.accounts.total("waiting", num):
            raise SignalNotRegistered(num)
        self._deliver_to_waiter(num, timeout)
        return None

    def _open(self, gate: Gate, num: int, timeout: float) -> None:
        try:
            self._ways.open(gate, num, timeout, self._who)
        except SignalQueueFull:
            self._slot.refuse()
            raise

    def _deliver_to_waiter(self, num: int, timeout: float) -> None:
        """Send an unregistered signal until the process that waits for it has it.

        uWSGI gives it to the first worker that is free; one that does not wait logs an error and drops it. So each
        attempt sends twice as many as the one before, until they are too many for the idle ones.
        """
        gate = self._ways.to("worker")
        before = self.accounts.total("taken", num)
        deadline = self.clock.monotonic() + timeout
        copies = 1
        while self.accounts.total("waiting", num):
            for _ in range(copies):
                self._open(gate, num, timeout)
                gate.credit -= 1
                uwsgi.signal(num)
            copies = min(2 * copies, _MOST_COPIES)
            retry_at = min(self.clock.monotonic() + _PICKED_UP_WITHIN, deadline)
            while self.clock.monotonic() < retry_at:
                if self.accounts.total("taken", num) > before:
                    self._slot.sent[num] += 1
                    return
                self.clock.sleep(FIRST_PAUSE)
            if self.clock.monotonic() >= deadline:
                break
        self._slot.refuse()
        raise SignalNotRegistered(num)

    # receiving

    def _take(self, num: int) -> None:
        if os.getpid() != self._pid:
            self._settle()
        slot = self._slot
        slot.taken[num] += 1
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
        waiting = self._slot.waiting
        if num is not None:
            waiting[num] += 1
        try:
            self._wait_on(num)
        finally:
            if num is not None:
                waiting[num] -= 1
        received = uwsgi.signal_received()
        if received not in self._handlers:
            self._slot.taken[received] += 1
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
                failures = failures + 1 if self.clock.monotonic() - began < _IN_VAIN else 1
                if failures >= _FAILURES:
                    raise WaitFailed("uWSGI failed to wait for a signal; its log says why") from error
            else:
                return

    def _check_can_arrive(self, num: int | None) -> None:
        who = self.identity
        if who.role in ("master", "outside"):
            raise ServerNotReady("nothing arrives in the master; wait in a worker, a mule or a spooler")
        if who.role == "worker" and server.threads() > 1:
            raise NotSupported(
                "with --threads any thread of this worker may take the signal, and the one that waits would miss it: "
                "wait in a mule, or run the workers without --threads"
            )
        if num is None:
            return
        gate = self._gates[num] or self._ways.to("worker")
        mine = set(queues_read_by(who, self._topology))
        if mine.isdisjoint(gate.queues):
            where = gate.target.text if self._gates[num] else "worker (where uWSGI sends what nobody registered)"
            raise NotSupported(f"signal {num} goes to {where} and never arrives in {who}: wait for it there")
        if gate.target.kind == "farm":
            raise NotSupported("uWSGI's wait does not look at farms: wait for a signal that goes to mule or muleN")

    # forks

    def _share_the_hook(self) -> None:
        """Have whoever sets uWSGI's one hook after us called by ours, instead of in its place: timers stand on it."""
        engine = self

        class Module(ModuleType):
            def __setattr__(self, name: str, value: Any) -> None:
                if name == "post_fork_hook":
                    engine._later = value
                else:
                    super().__setattr__(name, value)

        uwsgi.__class__ = Module  # pyright: ignore[reportAttributeAccessIssue]

    def _after_fork(self) -> None:
        if self._hooked == os.getpid():  # by a hook that calls the one that it found
            return
        self._hooked = os.getpid()
        _keep_descriptor_0()
        self._settle()
        if self._who == _TICKING:
            for source in self._sources.values():
                self._tick(source)
        for hook in (*self._hooks, self._later):
            try:
                hook()
            except KeyboardInterrupt:  # uWSGI would print it and go on
                raise SystemExit(130) from None
            except Exception:  # noqa: BLE001 - one that raises does not stop the others
                _LOG.exception("a post-fork hook of another library failed in %s", self._who)

    def _settle(self) -> None:
        """Find out who this process is, and where it counts."""
        self._pid = os.getpid()
        self._who = server.identify()
        self._slot = self.accounts.slots[self._slot_number()]
        self._sent = self._slot.sent
        self._ways.close_all()
        if self._who.role != "master":
            self._gauge.settle(self._who)

    def _slot_number(self) -> int:
        top, who = self._topology, self._who
        before = {"worker": 0, "mule": top.workers, "spooler": top.workers + top.mules}
        number = before.get(who.role, self._slots - 1) + who.number - (who.role in before)
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
