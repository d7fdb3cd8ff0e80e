"""What the decorators of `scheduling` and `monitoring` share: a function, its signal, and what raises it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict, TypeVar

from heliograph import engines
from heliograph._core.signals.handlers import adapt, describe
from heliograph.exceptions import AlreadyRegistered, NotSupported, ScheduleError, SignalTypeError
from heliograph.interfaces import Engine
from heliograph.models import CronRule, FileMonitor, Timer, Trigger
from heliograph.runtime.signals import REGISTRY, Signal, TypeTarget

_F = TypeVar("_F", bound=Callable[..., Any])

Checker = Callable[[], object]
"""Asked before each run; if its answer is false, the run is left out."""

TRIGGERS: dict[str, Trigger] = {}
"""What this process has declared: name -> source."""

MIN_PERIOD = 1e-6
"""Seconds; a period below is not told apart from none after some months of uptime, as floats have it."""
MAX_NAME_LENGTH = 200
"""Characters of a source's name; it must go into a report to the master."""
_MAX_SECONDS = sys.float_info.max

_CHECKED = "_heliograph_checked"
"""Attribute of a handler that asks first: the function, and what it asks."""


class TriggerOptions(TypedDict, total=False):
    """What every source takes. All are keywords, and each may be left out.

    `target`: who runs the function, as for `Signal.register_handler`; or a `Signal`, which is then what is raised.
    `checker`: asked before each run; if its answer is false, the run is left out. Several sources may share one.
    `jitter`: seconds, at most, that a run is put off by chance. `coalesce` (True): leave a run out, and count it as
    missed, while one is still waiting. `misfire_grace`: seconds that a run may be late before it is left out.
    `time_limit`: as for `Signal.register_handler`. `name`: what the source is listed, changed and removed by.
    """

    target: TypeTarget
    checker: Checker | None
    jitter: float
    coalesce: bool
    misfire_grace: float | None
    time_limit: float | None
    name: str | None


@dataclass(frozen=True, slots=True)
class TriggerDecorator:
    """What to raise a signal for, and how: the decorator that `register_timer` and the others give."""

    what: Timer | CronRule | FileMonitor
    options: TriggerOptions

    def __call__(self, func: _F) -> _F:
        """Register the function and declare its source; the function comes back unchanged.

        After an error nothing is declared, registered or claimed.
        """
        name = self.options.get("name") or _free_name(f"{describe(func)}/{type(self.what).__name__.lower()}")
        _check_free(name)
        target = self.options.get("target")
        if isinstance(target, Signal):
            self._declare(target, name, None if self._has(target, func) else self._handler_of(func), None)
        else:
            handler, signal = self._handler_of(func), _signal_of(name)
            try:
                self._declare(signal, name, handler, target)
            except BaseException:
                REGISTRY.claimed.discard(signal.num)
                raise
        return func

    def _declare(self, signal: Signal, name: str, handler: Callable[..., Any] | None, target: TypeTarget) -> None:
        """Add the source, and register the handler if there is one: both, or neither."""
        grace, limit = self.options.get("misfire_grace"), self.options.get("time_limit")
        jitter, coalesce = self.options.get("jitter", 0.0), self.options.get("coalesce", True)
        trigger = Trigger(signal.num, self.what, name, jitter, coalesce, grace)
        engine = engines.current()
        engine.add_trigger(trigger)
        if handler is not None:
            try:
                signal.register_handler(target, time_limit=limit)(handler)
            except BaseException:
                with contextlib.suppress(NotSupported):  # uWSGI has forgotten it nonetheless
                    engine.remove_trigger(name)
                raise
        TRIGGERS[name] = trigger

    def _handler_of(self, func: Callable[..., Any]) -> Callable[..., Any]:
        checker = self.options.get("checker")
        return func if checker is None else _checked(func, checker)

    def _has(self, signal: Signal, func: Callable[..., Any]) -> bool:
        """Whether the signal runs that function already, under the same conditions; an error if it runs another."""
        found = REGISTRY.registered.get(signal.num)
        if found is None:
            return False
        known, checker = getattr(found.func, _CHECKED, (found.func, None))
        if known != func:
            raise AlreadyRegistered(
                signal.num,
                f"{describe(known)} handles it; a source that raises it takes that function, not {describe(func)}",
                old=describe(known),
                new=describe(func),
            )
        if checker != self.options.get("checker") or self.options.get("time_limit") is not None:
            raise ScheduleError(
                f"signal {signal.num} is registered already, and its checker and time_limit hold for all that raises "
                "it: give them there, or leave target=Signal(...) out, and this source has a signal of its own",
                self.options,
            )
        return True


def check_options(options: TriggerOptions) -> TriggerOptions:
    """Raise `ScheduleError` for options that cannot be, `TypeError` for those that there are not."""
    unknown = sorted(options.keys() - TriggerOptions.__optional_keys__)
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}; see heliograph.runtime.triggers.RunOptions")
    check_seconds("jitter", options.get("jitter", 0.0))
    for what, seconds in (("misfire_grace", options.get("misfire_grace")), ("time_limit", options.get("time_limit"))):
        if seconds is not None:
            check_seconds(what, seconds)
    if not isinstance(coalesce := options.get("coalesce", True), bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"coalesce is True or False, not {coalesce!r}", coalesce)
    checker = options.get("checker")
    if checker is not None and (not callable(checker) or inspect.iscoroutinefunction(checker)):
        raise SignalTypeError(f"a checker is a function that is called and answers at once, not {checker!r}", checker)
    if (name := options.get("name")) is not None:
        _check_free(name)
    return options


def check_seconds(what: str, seconds: float) -> None:
    """Raise `ScheduleError` for what is no number of seconds, 0 or more."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not number or not 0 <= seconds <= _MAX_SECONDS:
        raise ScheduleError(f"{what} is in seconds, 0 or more, not {seconds!r}", seconds)


def get_triggers() -> tuple[Trigger, ...]:
    """All sources that this process has declared."""
    return tuple(TRIGGERS.values())


def unregister_trigger(name: str) -> None:
    """Let a source raise its signal no more. Raises `ScheduleError` if there is none of that name."""
    known(name)
    engines.current().remove_trigger(name)
    del TRIGGERS[name]


def change_period(name: str, period: float) -> None:
    """Give a timer another period, in seconds, from now on. Raises `ScheduleError` if there is no such timer."""
    trigger = known(name)
    if not isinstance(trigger.spec, Timer):
        raise ScheduleError(f"{name!r} is no timer but {trigger.spec}", name)
    check_period(period)
    engines.current().change_period(name, period)
    TRIGGERS[name] = replace(trigger, spec=replace(trigger.spec, period=period))


def known(name: str) -> Trigger:
    """The source of that name. Raises `ScheduleError`, which lists what there is."""
    if name not in TRIGGERS:
        raise ScheduleError(f"there is no source named {name!r}; there are: {', '.join(TRIGGERS) or 'none'}", name)
    return TRIGGERS[name]


def check_period(period: float, per_second: int = 1) -> float:
    """The period in seconds, given in as many units `per_second`. Raises `ScheduleError` for what is none."""
    number = isinstance(period, (int, float)) and not isinstance(period, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not number or not 0 < period <= _MAX_SECONDS:
        unit = "seconds" if per_second == 1 else "milliseconds"
        raise ScheduleError(f"a period is a number of {unit} greater than 0, not {period!r}", period)
    seconds = period / per_second
    if seconds < MIN_PERIOD:
        raise ScheduleError(f"a period of {seconds:g} s is too short: {MIN_PERIOD:g} s is the shortest", period)
    return seconds


def add_all_triggers(engine: Engine) -> None:
    """Declare all that this process knows to an engine that does not know it yet."""
    for trigger in TRIGGERS.values():
        engine.add_trigger(trigger)


def _checked(func: Callable[..., Any], checker: Checker) -> Callable[..., Any]:
    """The function, if the checker says so; it takes what the function takes."""
    adapt(func)

    @functools.wraps(func)
    def run_if(*num: int) -> object:
        return func(*num) if checker() else None

    @functools.wraps(func)
    async def await_if(*num: int) -> object:
        return await func(*num) if checker() else None

    handler: Callable[..., Any] = await_if if inspect.iscoroutinefunction(func) else run_if
    vars(handler)[_CHECKED] = func, checker
    return handler


def _check_free(name: str) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"a name is a text of 1 to {MAX_NAME_LENGTH} printable characters, not {name!r}", name)
    if name in TRIGGERS:
        raise ScheduleError(f"there already is a source named {name!r}: give each its own name", name)


def _signal_of(name: str) -> Signal:
    """The signal of a new source: a free one, or the one that it has where the server has loaded it."""
    num = engines.current().number_of_trigger(name)
    if num is None:
        return Signal()
    REGISTRY.claimed.add(num)
    return Signal(num)


def _free_name(base: str) -> str:
    base = base[: MAX_NAME_LENGTH - 8]
    name, number = base, 1
    while name in TRIGGERS:
        number += 1
        name = f"{base}#{number}"
    return name
