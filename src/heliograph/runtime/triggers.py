"""The common part of the decorators of `scheduling` and `monitoring`: a function, its signal and its trigger."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from heliograph import engines
from heliograph._core.schedule.trigger_codec import describe_trigger
from heliograph._core.signals.handlers import adapt, describe, is_coroutine_function, is_generator_function
from heliograph.exceptions import AlreadyRegistered, NotSupported, ScheduleError, SignalTypeError
from heliograph.interfaces import SignalRouting, TriggerHosting
from heliograph.models import CronRule, FileMonitor, Timer, Trigger
from heliograph.runtime import async_handlers
from heliograph.runtime.handlers import REGISTRY
from heliograph.runtime.signals import Signal, TypeTarget

if TYPE_CHECKING:
    from heliograph.runtime.task_type import Task

_F = TypeVar("_F", bound=Callable[..., Any])

Checker = Callable[[], object]
"""Called before each run. If it returns a false value, the run is skipped."""

TRIGGERS: dict[str, Trigger] = {}
"""The triggers of this process: name -> trigger."""

MIN_PERIOD = 1e-6
"""Seconds. After some months of uptime a float cannot represent shorter periods."""
MAX_NAME_LENGTH = 200
"""Characters of the name of a trigger. It must fit into a report to the master."""
_MAX_SECONDS = sys.float_info.max
_MAX_SUFFIX = 20
"""Characters of the suffix of an automatic name."""

_KINDS = {Timer: "timer", CronRule: "cron", FileMonitor: "file"}
"""The suffixes of automatic names."""

_CHECKED = "_heliograph_checked"
"""Attribute of a handler with a checker: the function, and its checker."""


class TriggerOptions(TypedDict, total=False):
    """Keyword arguments of all triggers. Each is optional.

    Args:
        target: The processes that run the function, as for `Signal.register_handler`. Or a `Signal` for the trigger to
            send. Or a task for it to enqueue: then there is no function to decorate.
        checker: Called before each run. If it returns a false value, the run is skipped. Triggers may share one.
        jitter: Delay each run by a random time of up to this many seconds. Default: 0.
        coalesce: Skip a run, and count it as missed, while an earlier one is still queued. Default: True.
        misfire_grace: Seconds by which a run may be late before it is skipped. Default: no limit.
        time_limit: As for `Signal.register_handler`.
        name: Name of the trigger, unique on the server. Default: derived from the function.
    """

    target: TypeTarget | Task[..., Any]
    checker: Checker | None
    jitter: float
    coalesce: bool
    misfire_grace: float | None
    time_limit: float | None
    name: str | None


@dataclass(frozen=True, slots=True)
class TriggerDecorator:
    """The decorator that `register_timer` and the other functions return."""

    spec: Timer | CronRule | FileMonitor
    options: TriggerOptions

    def __post_init__(self) -> None:
        """Add the trigger now if it enqueues a task."""
        task = _as_task(self.options.get("target"))
        if task is not None:
            self._enqueue(task)

    def __call__(self, func: _F) -> _F:
        """Register the function and add its trigger. Return the function unchanged. A task is enqueued instead.

        After an exception nothing is registered, added or claimed.
        """
        task, declared = _as_task(func), _as_task(self.options.get("target"))
        if declared is not None:
            if func not in (declared, declared.func):
                raise SignalTypeError(f"invalid function: {func!r}. This trigger enqueues {declared!r}.", func)
        elif task is not None:
            self._enqueue(task)
        else:
            self._register(func)
        return func

    def _register(self, func: Callable[..., Any]) -> None:
        name = self.options.get("name") or _free_name(describe(func), _KINDS[type(self.spec)])
        _check_free(name)
        target: Any = self.options.get("target")
        if isinstance(target, Signal):
            self._add(target, name, None if self._has(target, func) else self._handler_of(func), None)
        else:
            self._add_with_signal(name, self._handler_of(func), target)

    def _enqueue(self, task: Task[..., Any]) -> None:
        """Add a trigger that enqueues a task, in a process that may also run it."""
        from heliograph.runtime.task_ticks import target_of, ticking  # noqa: PLC0415 - it exists if there is a task

        name = self.options.get("name") or _free_name(describe(task.func), _KINDS[type(self.spec)])
        _check_free(name)
        self._add_with_signal(name, self._handler_of(ticking(task, name, self.spec)), target_of(task))

    def _add_with_signal(self, name: str, handler: Callable[..., Any], target: TypeTarget) -> None:
        signal = _signal_of(name)
        try:
            self._add(signal, name, handler, target)
        except BaseException:
            REGISTRY.claimed.discard(signal.num)
            raise

    def _add(self, signal: Signal, name: str, handler: Callable[..., Any] | None, target: TypeTarget) -> None:
        """Add the trigger, and register the handler if there is one: both or neither."""
        grace, limit = self.options.get("misfire_grace"), self.options.get("time_limit")
        jitter, coalesce = self.options.get("jitter", 0.0), self.options.get("coalesce", True)
        trigger = Trigger(signal.num, self.spec, name, jitter, coalesce, grace)
        engine: TriggerHosting = engines.current()
        engine.add_trigger(trigger)
        if handler is not None:
            try:
                signal.register_handler(target, time_limit=limit)(handler)
            except BaseException:
                with contextlib.suppress(NotSupported):  # uWSGI never starts a trigger of a failed load
                    engine.remove_trigger(name)
                raise
        TRIGGERS[name] = trigger

    def _handler_of(self, func: Callable[..., Any]) -> Callable[..., Any]:
        checker = self.options.get("checker")
        return func if checker is None else _checked(func, checker)

    def _has(self, signal: Signal, func: Callable[..., Any]) -> bool:
        """Return True if the signal already runs that function with the same options. Raise if it runs another one."""
        found = REGISTRY.registered.get(signal.num)
        if found is None:
            return False
        known, checker = getattr(found.func, _CHECKED, (found.func, None))
        if known != func:
            raise AlreadyRegistered(
                signal.num,
                f"{describe(known)} handles it, not {describe(func)}. Decorate that function, or use another signal.",
                old=describe(known),
                new=describe(func),
            )
        if checker != self.options.get("checker") or self.options.get("time_limit") is not None:
            raise ScheduleError(
                f"cannot change checker and time_limit of a registered signal: {signal.num}. Pass them where it is "
                "registered, or leave out target=Signal(...) so that this trigger has its own signal.",
                self.options,
            )
        return True


def check_options(options: TriggerOptions) -> TriggerOptions:
    """Check the options of a trigger, and return them.

    Raises:
        ScheduleError: An option is invalid.
        SignalTypeError: The checker is not a plain function.
        TypeError: There is no such option.
    """
    unknown = sorted(options.keys() - TriggerOptions.__optional_keys__)
    if unknown:
        known_options = ", ".join(sorted(TriggerOptions.__optional_keys__))
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}. Use one of {known_options}.")
    check_seconds("jitter", options.get("jitter", 0.0))
    if (grace := options.get("misfire_grace")) is not None:
        check_seconds("misfire_grace", grace)
    if (limit := options.get("time_limit")) is not None:
        check_seconds("time_limit", limit)
    if not isinstance(coalesce := options.get("coalesce", True), bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"invalid coalesce: {coalesce!r}. Pass True or False.", coalesce)
    checker = options.get("checker")
    if checker is not None and not _is_plain_function(checker):
        raise SignalTypeError(f"invalid checker: {checker!r}. Pass a plain function.", checker)
    if (name := options.get("name")) is not None:
        _check_free(name)
    return options


def check_seconds(option: str, seconds: float) -> None:
    """Check a number of seconds, 0 or more.

    Raises:
        ScheduleError: It is not such a number.
    """
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not number or not 0 <= seconds <= _MAX_SECONDS:
        raise ScheduleError(f"invalid {option}: {seconds!r}. Pass seconds, 0 or more.", seconds)


def get_triggers() -> tuple[Trigger, ...]:
    """Return all triggers of this process."""
    return tuple(TRIGGERS.values())


def unregister_trigger(name: str) -> None:
    """Remove a trigger.

    Args:
        name: Name of the trigger.

    Raises:
        ScheduleError: There is no trigger of that name.
        NotSupported: This process cannot change triggers (uWSGI: only worker 1 can).
        ServerBusy: The master did not take the change within 5 seconds.
    """
    known(name)
    engine: TriggerHosting = engines.current()
    engine.remove_trigger(name)
    del TRIGGERS[name]


def change_period(name: str, period: float) -> None:
    """Give a timer another period from now on.

    Args:
        name: Name of the timer.
        period: Seconds, at least a microsecond.

    Raises:
        ScheduleError: There is no timer of that name, or the period is invalid.
        NotSupported: This process cannot change triggers (uWSGI: only worker 1 can).
        ServerBusy: The master did not take the change within 5 seconds.
    """
    trigger = known(name)
    if not isinstance(trigger.spec, Timer):
        raise ScheduleError(
            f"cannot change the period of {name!r}: {describe_trigger(trigger.spec)}. Pass the name of a timer.", name
        )
    check_period(period)
    engine: TriggerHosting = engines.current()
    engine.change_period(name, period)
    TRIGGERS[name] = replace(trigger, spec=replace(trigger.spec, period=period))


def known(name: str) -> Trigger:
    """Return the trigger of that name.

    Raises:
        ScheduleError: There is no trigger of that name. The message lists all names.
    """
    if name not in TRIGGERS:
        raise ScheduleError(f"no such trigger: {name!r}. This process has: {', '.join(TRIGGERS) or 'none'}.", name)
    return TRIGGERS[name]


def check_period(period: float, per_second: int = 1) -> float:
    """Return a period in seconds.

    Args:
        period: The period.
        per_second: How many units of the period are a second.

    Raises:
        ScheduleError: The period is not a number greater than 0, or too short.
    """
    number = isinstance(period, (int, float)) and not isinstance(period, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not number or not 0 < period <= _MAX_SECONDS:
        unit = "seconds" if per_second == 1 else "milliseconds"
        raise ScheduleError(f"invalid period: {period!r}. Pass a number of {unit} greater than 0.", period)
    seconds = period / per_second
    if seconds < MIN_PERIOD:
        raise ScheduleError(f"period too short: {seconds:g} s. Pass at least {MIN_PERIOD:g} s.", period)
    return seconds


def add_all_triggers(engine: TriggerHosting) -> None:
    """Add all triggers of this process to a new engine."""
    for trigger in TRIGGERS.values():
        engine.add_trigger(trigger)


def _checked(func: Callable[..., Any], checker: Checker) -> Callable[..., Any]:
    """Return a handler that calls the checker first. It takes the arguments of the function."""
    adapt(func)

    @functools.wraps(func)
    def run_if(*num: int) -> object:
        return func(*num) if _ask(checker) else None

    @functools.wraps(func)
    async def await_if(*num: int) -> object:
        return await func(*num) if _ask(checker) else None

    handler: Callable[..., Any] = await_if if is_coroutine_function(func) else run_if
    vars(handler)[_CHECKED] = func, checker
    return handler


def _as_task(value: object) -> Task[..., Any] | None:
    """Return a task, None for anything else. A process without tasks does not import their module."""
    if "heliograph.runtime.task_type" not in sys.modules:
        return None
    from heliograph.runtime.task_type import as_task  # noqa: PLC0415 - it is there, and cheap

    return as_task(value)


def _is_plain_function(checker: object) -> bool:
    return callable(checker) and not is_coroutine_function(checker) and not is_generator_function(checker)


def _ask(checker: Checker) -> object:
    """Call a checker. Raises: SignalTypeError: its answer is an awaitable or a generator, which always is true."""
    answer = checker()
    if answer is not None and answer is not True and answer is not False:
        async_handlers.refuse_unfinished(answer, "checker")
    return answer


def _check_free(name: str) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"invalid trigger name: {name!r}. Pass 1 to {MAX_NAME_LENGTH} printable characters.", name)
    if name in TRIGGERS:
        raise ScheduleError(f"duplicate trigger name: {name!r}. Give each trigger its own name.", name)


def _signal_of(name: str) -> Signal:
    """Return the signal of a new trigger: a free one, or the one that the server has chosen for this name."""
    routing: SignalRouting = engines.current()
    num = routing.number_of_trigger(name)
    if num is None:
        return Signal()
    REGISTRY.claimed.add(num)
    return Signal(num)


def _free_name(function: str, kind: str) -> str:
    """Return `app.nightly`, or `app.nightly (cron)`, `app.nightly (cron 2)` and so on for further triggers."""
    function = function[: MAX_NAME_LENGTH - _MAX_SUFFIX]
    numbered = (f"{function} ({kind} {number})" for number in count(2))
    return next(name for name in chain((function, f"{function} ({kind})"), numbered) if name not in TRIGGERS)
