"""Engines and clocks have the types of `heliograph.interfaces`. mypy and pyright check this file. It does not run."""

from typing import assert_type

from heliograph import engines
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import Handled, InlineEngine
from heliograph.engines.local.engine import LocalEngine
from heliograph.engines.local.web_worker import WebWorkerEngine
from heliograph.engines.uwsgi import UwsgiEngine
from heliograph.exceptions import SignalQueueFull, UwsgiconfException
from heliograph.interfaces import (
    Clock,
    Engine,
    Processes,
    SignalRouting,
    SignalSending,
    SignalWaiting,
    TriggerHosting,
    WebServerMembership,
)
from heliograph.models import Topology
from heliograph.testing import FakeClock as PublicFakeClock
from heliograph.testing import InlineEngine as PublicInlineEngine
from heliograph.timing.clocks import FakeClock, SystemClock


def clocks() -> list[Clock]:
    """Every clock."""
    return [SystemClock(), FakeClock(), FakeClock(17.0)]


def all_engines(local: LocalEngine) -> list[Engine]:
    """Every engine."""
    return [UwsgiEngine(), InlineEngine(), DetachedEngine(), local]


def roles(engine: UwsgiEngine | InlineEngine | DetachedEngine | LocalEngine | WebWorkerEngine | Engine) -> None:
    """Every engine has every role."""
    routing: SignalRouting = engine
    sending: SignalSending = engine
    waiting: SignalWaiting = engine
    hosting: TriggerHosting = engine
    processes: Processes = engine
    membership: WebServerMembership = engine
    assert_type(routing.signal_registered(7), bool)
    assert_type(routing.number_of_trigger("nightly"), int | None)
    assert_type(sending.signal(7, 0.0), None)
    assert_type(waiting.signal_wait(7, None), int)
    assert_type(hosting.change_period("refresh", 2.0), None)
    assert_type(processes.topology, Topology | None)
    assert_type(membership.leave(), None)
    routing.signal(7, 0.0)  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]


class HalfEngine:
    """A class with one role is not an engine."""

    def signal(self, num: int, timeout: float) -> None:
        """Send nothing."""


one_role: SignalSending = HalfEngine()
not_another_role: SignalWaiting = HalfEngine()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
half_engine: Engine = HalfEngine()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Unpunctual:
    """A class without `sleep` is not a clock."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 0.0


no_clock: Clock = Unpunctual()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
no_engine: Engine = FakeClock()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

assert_type(engines.current(), Engine)
with engines.using(InlineEngine()) as nothing:
    assert_type(nothing, None)
engines.using(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

InlineEngine(Topology(workers=1), clock=SystemClock(), capacity=1)
InlineEngine(clock=Unpunctual())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Types that a test sees of the fixture's engine.

engine = PublicInlineEngine(clock=PublicFakeClock())
assert_type(engine, InlineEngine)
assert_type(engine.take_failures(), tuple[Handled, ...])
assert_type(engine.handled[0].failure, BaseException | None)
assert_type(engine.queued("mule1"), tuple[int, ...])
engine.as_process(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Errors carry their facts, typed.


def facts(error: SignalQueueFull) -> tuple[TimeoutError, UwsgiconfException]:
    """Show that each exception is also a builtin one."""
    assert_type((error.num, error.target, error.timeout), tuple[int, str, float])
    return error, error
