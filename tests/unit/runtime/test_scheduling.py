"""Timers and cron rules in an application: targets, options, errors, and unchanged state after errors."""

import asyncio
import datetime as dt
import functools
import math
import time
from typing import Any

import pytest

from heliograph import REGISTERED_SIGNALS, Farm, Mule, Signal, engines
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import AlreadyRegistered, RegistrationError, ScheduleError, SignalTypeError, TargetError
from heliograph.models import CronRule, Timer, Trigger
from heliograph.runtime import handlers, triggers
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import (
    change_period,
    get_triggers,
    next_runs,
    register_cron,
    register_timer,
    register_timer_ms,
    register_timer_rb,
    unregister_trigger,
)
from heliograph.runtime.triggers import MAX_NAME_LENGTH

pytestmark = pytest.mark.usefixtures("heliograph_engine")

DECORATORS = {
    "timer": lambda **options: register_timer(10, **options),
    "timer_rb": lambda **options: register_timer_rb(10, repeat=3, **options),
    "timer_ms": lambda **options: register_timer_ms(10_000, **options),
    "cron": lambda **options: register_cron("* * * * *", tz="UTC", **options),
    "file monitor": lambda **options: register_file_monitor("/", **options),
}
every_decorator = pytest.mark.parametrize("declare", DECORATORS.values(), ids=DECORATORS)


def handler() -> str:
    """Any handler."""
    return "called"


def other(num: int) -> None:
    """Another handler."""


def everything() -> tuple[Any, ...]:
    """Return everything that this process and its engine know of signals and triggers."""
    engine: Any = engines.current()
    known = [num for num in range(256) if engine.signal_registered(num)]
    tables = dict(REGISTERED_SIGNALS), set(handlers.REGISTRY.claimed), dict(handlers.HANDLERS), dict(handlers.OPTIONS)
    return *tables, known, get_triggers(), [entry.trigger for entry in engine._scheduler._schedule.entries()]


def only() -> Trigger:
    (trigger,) = get_triggers()
    return trigger


def ran(engine: InlineEngine) -> list[tuple[int, str]]:
    return [(run.num, str(run.by)) for run in engine.handled]


# what a decorator does


@every_decorator
def test_decorator_returns_the_function_unchanged(declare):
    """The function gets its own signal, a trigger and a name."""
    assert declare()(handler) is handler
    assert handler() == "called"
    trigger = only()
    assert REGISTERED_SIGNALS[trigger.num].func is handler
    assert trigger.name == f"{__name__}.handler"
    assert (trigger.jitter, trigger.coalesce, trigger.misfire_grace) == (0.0, True, None)


@every_decorator
@pytest.mark.parametrize(
    ("target", "text"),
    [
        *((None, "worker"), ("", "worker"), ("mule2", "mule2"), ("workers", "workers"), ("spooler", "spooler")),
        *((Mule(1), "mule1"), (2, "mule2"), (Farm("crunchers"), "farm_crunchers")),
    ],
    ids=repr,
)
def test_target_selects_the_processes(declare, target, text):
    """As for `register_handler`."""
    declare(target=target)(handler)
    assert REGISTERED_SIGNALS[only().num].target == text


@every_decorator
def test_options_are_stored(declare):
    """Each in its trigger."""
    declare(name="mine", jitter=2, coalesce=False, misfire_grace=30.0, time_limit=5)(handler)
    trigger = only()
    assert (trigger.name, trigger.jitter, trigger.coalesce, trigger.misfire_grace) == ("mine", 2, False, 30.0)
    assert handlers.OPTIONS[trigger.num].time_limit == 5


def test_periods_and_rules_are_stored():
    """Periods in seconds, cron rules with all fields."""
    register_timer(1.5, name="a")(handler)
    register_timer_rb(2, repeat=3, name="b")(handler)
    register_timer_rb(2, repeat=0, name="c")(handler)
    register_timer_rb(2, name="d")(handler)
    register_timer_ms(250, name="e")(handler)
    register_cron(hour=3, name="f")(handler)
    register_cron("*/5 * * * mon-fri", tz="Europe/Berlin", name="g")(handler)
    assert {trigger.name: trigger.spec for trigger in get_triggers()} == {
        "a": Timer(1.5),
        "b": Timer(2.0, 3),
        "c": Timer(2.0),
        "d": Timer(2.0),
        "e": Timer(0.25),
        "f": CronRule("0", "3", "*", "*", "*"),
        "g": CronRule("*/5", "*", "*", "*", "1-5", "Europe/Berlin"),
    }
    assert len({trigger.num for trigger in get_triggers()}) == 7


def test_automatic_names(heliograph_engine: InlineEngine):
    """They come from the function and the kind of trigger. The name of a removed trigger is free again."""
    for _ in range(3):
        register_timer(10)(handler)
    register_cron(hour=3)(handler)
    base = f"{__name__}.handler"
    names = [trigger.name for trigger in get_triggers()]
    assert names == [base, f"{base} (timer)", f"{base} (timer 2)", f"{base} (cron)"]
    unregister_trigger(names[1])
    register_timer(10)(handler)
    assert f"{base} (timer)" in [trigger.name for trigger in get_triggers()]


def test_decorator_can_be_used_several_times():
    """Each function gets its own signal and trigger."""
    every = register_timer(10)
    every(handler)
    every(other)
    assert [REGISTERED_SIGNALS[trigger.num].func for trigger in get_triggers()] == [handler, other]


def test_long_function_name_is_shortened():
    """The name must fit into a report to the master."""

    def long() -> None: ...

    long.__qualname__ = "x" * 5000
    for _ in range(12):
        register_timer(10)(long)
    assert all(len(trigger.name) <= MAX_NAME_LENGTH for trigger in get_triggers())
    assert len({trigger.name for trigger in get_triggers()}) == 12


# a signal as the target


@every_decorator
def test_unregistered_signal_as_target_is_registered(declare):
    """With the default target. The trigger sends that signal."""
    signal = Signal()
    declare(target=signal)(handler)
    assert only().num == signal.num
    assert REGISTERED_SIGNALS[signal.num] == (signal.num, "worker", handler)


@every_decorator
def test_registered_signal_as_target_gets_another_trigger(declare):
    """Its handler keeps its target."""
    signal = Signal()
    signal.register_handler("mule1")(handler)
    declare(target=signal)(handler)
    declare(target=signal)(handler)
    assert [trigger.num for trigger in get_triggers()] == [signal.num] * 2
    assert REGISTERED_SIGNALS[signal.num] == (signal.num, "mule1", handler)


@every_decorator
def test_signal_of_another_function_is_rejected(declare):
    """The message names both functions, and nothing changes."""
    signal = Signal()
    signal.register_handler("mule1")(other)
    before = everything()
    with pytest.raises(AlreadyRegistered, match=r"other handles it.*not .*handler") as caught:
        declare(target=signal)(handler)
    assert (caught.value.old, caught.value.new) == (f"{__name__}.other", f"{__name__}.handler")
    assert everything() == before


def test_wrapped_function_is_another_function():
    """`functools.wraps` only copies the name."""

    @functools.wraps(handler)
    def wrapped() -> str:
        return handler()

    signal = Signal()
    signal.register_handler()(wrapped)
    register_timer(10, target=signal)(wrapped)
    with pytest.raises(AlreadyRegistered):
        register_timer(10, target=signal)(handler)


def test_bound_methods_are_compared_by_equality():
    """`job.run` is a new object at each access."""

    class Job:
        def run(self) -> None: ...

    job, signal = Job(), Signal()
    signal.register_handler()(job.run)
    register_timer(10, target=signal)(job.run)
    with pytest.raises(AlreadyRegistered):
        register_timer(10, target=signal)(Job().run)


def test_triggers_of_one_signal_share_its_checker():
    """The checker belongs to the handler, so a second one would never be called."""
    signal, ask = Signal(), lambda: True
    register_timer(10, target=signal, checker=ask)(handler)
    register_timer(20, target=signal, checker=ask)(handler)
    before = everything()
    for options in ({"checker": lambda: False}, {}, {"checker": ask, "time_limit": 5}):
        with pytest.raises(ScheduleError, match="has its own signal"):
            register_timer(30, target=signal, **options)(handler)
    assert everything() == before


# checkers


@every_decorator
def test_checker_is_called_before_each_run(declare, heliograph_engine: InlineEngine):
    """If it returns a false value, the function does not run."""
    answers, runs = iter([True, False, None, 0, "yes"]), []
    declare(checker=lambda: next(answers))(lambda: runs.append(len(runs)))
    for _ in range(5):
        Signal(only().num).send()
    assert runs == [0, 1]


def test_triggers_can_share_a_checker(heliograph_engine: InlineEngine):
    """With functions that take the number or nothing."""
    asked: list[str] = []
    runs: list[Any] = []

    def check() -> bool:
        asked.append(str(heliograph_engine.identity))
        return len(asked) in (1, 4)

    register_timer(10, checker=check, target="mule1")(lambda: runs.append("a"))
    register_timer(10, checker=check, target="mule2")(lambda num: runs.append(num * 0))
    register_timer(10, target="spooler")(lambda: runs.append("free"))
    heliograph_engine.clock.sleep(20)
    assert asked == ["mule1", "mule2"] * 2
    assert runs == ["a", "free", 0, "free"]


def test_each_trigger_of_a_function_has_its_checker(heliograph_engine: InlineEngine):
    """Stacked decorators call only their own checker."""
    runs: list[int] = []

    @register_timer(10, checker=lambda: True)
    @register_timer(3, checker=lambda: False)
    def stacked(num: int) -> None:
        runs.append(num)

    heliograph_engine.clock.sleep(10)
    yes = next(trigger.num for trigger in get_triggers() if trigger.spec == Timer(10.0))
    assert runs == [yes]


def test_exception_of_a_checker_fails_the_run(heliograph_engine: InlineEngine):
    """It is logged and counted like an exception of the handler, and the timer continues."""
    register_timer(10, checker=lambda: 1 / 0)(handler)
    heliograph_engine.clock.sleep(20)
    assert [type(run.failure) for run in heliograph_engine.take_failures()] == [ZeroDivisionError] * 2


@pytest.mark.parametrize("with_checker", [False, True])
def test_async_functions_are_awaited(with_checker, heliograph_engine: InlineEngine):
    """Also with a checker."""
    runs: list[int] = []

    async def slow(num: int) -> None:
        await asyncio.sleep(0)
        runs.append(num)

    options: Any = {"checker": lambda: True} if with_checker else {}
    assert register_timer(10, **options)(slow) is slow
    heliograph_engine.clock.sleep(20)
    assert runs == [only().num] * 2


# invalid arguments


@pytest.mark.parametrize(
    "period", [0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf, True, "1", None, 10**400, 1e-7, 1j]
)
def test_invalid_period_is_rejected(period: Any):
    """By every decorator and by `change_period`, with the value in the message."""
    register_timer(10, name="known")(handler)
    before = everything()
    for attempt in (
        lambda: register_timer(period),
        lambda: register_timer_rb(period, repeat=1),
        lambda: register_timer_ms(period / 1000 if period == 1e-7 else period),
        lambda: change_period("known", period),
    ):
        with pytest.raises(ScheduleError) as caught:
            attempt()
        assert isinstance(caught.value, ValueError)
    assert everything() == before


def test_milliseconds_have_the_same_bounds():
    """The message has the unit of the argument."""
    with pytest.raises(ScheduleError, match="too short"):
        register_timer_ms(5e-324)
    with pytest.raises(ScheduleError, match=r"invalid period: -5. Pass a number of milliseconds greater than 0"):
        register_timer_ms(-5)
    register_timer_ms(0.001)


@pytest.mark.parametrize("repeat", [True, False, -1, 1.0, "3", math.nan])
def test_invalid_repeat_is_rejected(repeat: Any):
    """It is an int of 0 or more."""
    with pytest.raises(ScheduleError, match="invalid repeat"):
        register_timer_rb(10, repeat=repeat)


@every_decorator
@pytest.mark.parametrize(
    ("options", "error"),
    [
        *(({"jitter": wrong}, ScheduleError) for wrong in (-1, math.nan, math.inf, True, "1", None)),
        *(({"misfire_grace": wrong}, ScheduleError) for wrong in (-1, math.nan, math.inf, True, "1")),
        *(({"time_limit": wrong}, ScheduleError) for wrong in (-1, math.nan, math.inf, True, "1")),
        *(({"coalesce": wrong}, ScheduleError) for wrong in (1, None, "no")),
        *(
            ({"name": wrong}, ScheduleError)
            for wrong in ("", 5, "two\nlines", "x" * (MAX_NAME_LENGTH + 1), "\udc80", ())
        ),
        *(({"checker": wrong}, SignalTypeError) for wrong in (5, True, asyncio.sleep)),
        *(({wrong: 1}, TypeError) for wrong in ("jiter", "targets", "callback")),
    ],
)
def test_invalid_options_are_rejected(declare, options: Any, error):
    """Before any function is decorated."""
    before = everything()
    with pytest.raises(error) as caught:
        declare(**options)
    assert next(iter(options)) in str(caught.value)
    assert everything() == before


@every_decorator
@pytest.mark.parametrize(
    ("options", "func", "error"),
    [
        ({"target": "mule9"}, handler, TargetError),
        ({"target": "bogus"}, handler, TargetError),
        ({"target": True}, handler, SignalTypeError),
        ({"target": 1.5}, handler, SignalTypeError),
        ({"target": Farm("none")}, handler, TargetError),
        ({}, 5, SignalTypeError),
        ({}, lambda _one, _two: None, SignalTypeError),
        ({"checker": lambda: True}, 5, SignalTypeError),
        ({"checker": lambda: True}, lambda _one, _two: None, SignalTypeError),
    ],
)
def test_failed_decoration_changes_nothing(declare, options: Any, func: Any, error):
    """No trigger, no handler and no claimed number."""
    before = everything()
    with pytest.raises(error):
        declare(**options)(func)
    assert everything() == before


@every_decorator
def test_engine_that_rejects_a_trigger_gets_no_handler(declare, heliograph_engine: InlineEngine, monkeypatch):
    """Both are registered, or neither."""

    def reject(trigger: Trigger) -> None:
        raise RegistrationError(trigger.num, "not here")

    monkeypatch.setattr(heliograph_engine, "add_trigger", reject)
    before = everything()
    for target in (None, Signal(200)):
        with pytest.raises(RegistrationError, match="not here"):
            declare(target=target)(handler)
    assert everything() == before


@pytest.mark.parametrize("late", [False, True])
def test_duplicate_name_is_rejected(late):
    """In a second decorator, and if one decorator is used twice."""
    declaration = register_timer(10, name="mine")
    declaration(handler)
    before = everything()
    with pytest.raises(ScheduleError, match="duplicate trigger name: 'mine'"):
        declaration(other) if late else register_cron(hour=3, name="mine")
    assert everything() == before


def test_invalid_rule_or_zone_is_rejected():
    """Nothing is registered."""
    for attempt in (
        lambda: register_cron(minute=99),
        lambda: register_cron("* * *"),
        lambda: register_cron("* * * * *", hour=3),
        lambda: register_cron(hour=3, tz="Europe/Berln"),
    ):
        with pytest.raises(ScheduleError):
            attempt()
    assert get_triggers() == ()


# listing, changing, removing


def test_triggers_can_be_changed_and_removed(heliograph_engine: InlineEngine):
    """The list and the runs change."""
    register_timer(3600, name="slow", target="mule1")(handler)
    num = only().num
    change_period("slow", 2)
    assert only().spec == Timer(2.0)
    heliograph_engine.clock.sleep(5)
    assert ran(heliograph_engine) == [(num, "mule1")] * 2
    unregister_trigger("slow")
    heliograph_engine.clock.sleep(100)
    assert (get_triggers(), len(heliograph_engine.handled)) == ((), 2)
    Signal(num).send()
    assert len(heliograph_engine.handled) == 3


def test_unknown_name_lists_the_triggers():
    """Changing the period of a cron rule is an error as well."""
    for attempt in (lambda: unregister_trigger("mine"), lambda: change_period("mine", 5)):
        with pytest.raises(ScheduleError, match=r"no such trigger: 'mine'. This process has: none"):
            attempt()
    register_cron(hour=3, name="nightly")(handler)
    register_timer(5, name="often")(handler)
    for attempt in (lambda: unregister_trigger("mine"), lambda: change_period("mine", 5)):
        with pytest.raises(ScheduleError, match="This process has: nightly, often"):
            attempt()
    with pytest.raises(ScheduleError, match="period of 'nightly': 0 3 "):
        change_period("nightly", 5)


# next runs


def test_next_runs_are_merged_and_sorted(monkeypatch):
    """In UTC, as if timers started now."""
    monkeypatch.setattr(time, "time", lambda: 1_767_225_600.0)
    register_timer(40, name="t")(handler)
    register_timer_rb(70, repeat=1, name="once")(handler)
    register_cron(minute=-1, tz="Europe/Berlin", name="r")(handler)
    register_file_monitor("/", name="f")(handler)
    runs = next_runs(6)
    seconds = [(run.when - dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).total_seconds() for run in runs]
    assert [run.name for run in runs] == ["t", "r", "once", "t", "t", "r"]
    assert seconds == [40, 60, 70, 80, 120, 120]
    assert all(run.when.tzinfo is dt.UTC for run in runs)
    assert {run.name: run.num for run in runs} == {
        trigger.name: trigger.num for trigger in get_triggers() if trigger.name != "f"
    }
    assert [len(next_runs(count)) for count in (0, 1, 5, 100, -3)] == [0, 1, 5, 100, 0]


def test_runs_after_the_last_year_are_left_out():
    """The next run of a timer of thirty thousand years has no date."""
    register_timer(1e12, name="t")(handler)
    register_timer(1e308, name="u")(handler)
    assert next_runs(5) == []


def test_triggers_are_added_to_a_new_engine():
    """Triggers of modules that were imported without an engine are added later."""
    with engines.using(DetachedEngine()):
        register_timer(10, name="early", target="mule1")(handler)
        register_timer_rb(10, repeat=1, name="gone")(handler)
        change_period("early", 5)
        unregister_trigger("gone")
    engine = InlineEngine()
    with engines.using(engine):
        handlers.register_all(engine)
        triggers.add_all_triggers(engine)
        engine.clock.sleep(10)
    assert [str(run.by) for run in engine.handled] == ["mule1"] * 2
