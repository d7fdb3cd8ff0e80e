"""What the decorators of `scheduling` and `monitoring` share: a function, its signal, and what raises it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict, TypeVar

from heliograph import engines
from heliograph._core.handlers import adapt, describe
from heliograph.exceptions import AlreadyRegistered, ScheduleError
from heliograph.port import Engine
from heliograph.runtime.signals import TABLE, Signal, TypeTarget
from heliograph.values import CronRule, FileMonitor, Source, Timer

_F = TypeVar("_F", bound=Callable[..., Any])

Checker = Callable[[], object]
"""Asked before each run; if its answer is false, the run is left out."""

SOURCES: dict[str, Source] = {}
"""What this process has declared: name -> source."""


class RunOptions(TypedDict, total=False):
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
class Declaration:
    """What to raise a signal for, and how: the decorator that `register_timer` and the others give."""

    what: Timer | CronRule | FileMonitor
    options: RunOptions

    def __call__(self, func: _F) -> _F:
        """Register the function and declare its source; the function comes back unchanged."""
        signal = self._signal_for(func)
        name = self.options.get("name") or _free_name(f"{describe(func)}/{type(self.what).__name__.lower()}")
        grace = self.options.get("misfire_grace")
        jitter, coalesce = self.options.get("jitter", 0.0), self.options.get("coalesce", True)
        declare(Source(signal.num, self.what, name, jitter, coalesce, grace))
        return func

    def _signal_for(self, func: Callable[..., Any]) -> Signal:
        target = self.options.get("target")
        if not isinstance(target, Signal):
            return self._registered(Signal(), target, func)
        known = TABLE.registered.get(target.num)
        if known is None:
            return self._registered(target, None, func)
        if getattr(known.func, "__wrapped__", known.func) is not func:
            raise AlreadyRegistered(
                target.num,
                f"{describe(known.func)} handles it; a source that raises it takes that function, not {describe(func)}",
                old=describe(known.func),
                new=describe(func),
            )
        return target

    def _registered(self, signal: Signal, target: TypeTarget, func: Callable[..., Any]) -> Signal:
        checker, limit = self.options.get("checker"), self.options.get("time_limit")
        handler = func if checker is None else _checked(func, checker)
        signal.register_handler(target, time_limit=limit)(handler)
        return signal


def check_options(options: RunOptions) -> RunOptions:
    """Raise `ScheduleError` for options that cannot be."""
    for what, seconds in (("jitter", options.get("jitter")), ("misfire_grace", options.get("misfire_grace"))):
        if seconds is not None and not seconds >= 0:
            raise ScheduleError(f"{what} is in seconds, 0 or more, not {seconds!r}", seconds)
    name = options.get("name")
    if name is not None and name in SOURCES:
        raise ScheduleError(f"there already is a source named {name!r}: give each its own name", name)
    return options


def declare(source: Source) -> None:
    """Have the engine raise a signal by itself."""
    engines.current().add_source(source)
    SOURCES[source.name] = source


def get_sources() -> tuple[Source, ...]:
    """All sources that this process has declared."""
    return tuple(SOURCES.values())


def unregister(name: str) -> None:
    """Let a source raise its signal no more. Raises `ScheduleError` if there is none of that name."""
    known(name)
    engines.current().remove_source(name)
    del SOURCES[name]


def change_period(name: str, period: float) -> None:
    """Give a timer another period, in seconds, from now on. Raises `ScheduleError` if there is no such timer."""
    source = known(name)
    if not isinstance(source.what, Timer):
        raise ScheduleError(f"{name!r} is no timer but {source.what}", name)
    check_period(period)
    engines.current().change_period(name, period)
    SOURCES[name] = replace(source, what=replace(source.what, period=period))


def known(name: str) -> Source:
    """The source of that name. Raises `ScheduleError`, which lists what there is."""
    if name not in SOURCES:
        raise ScheduleError(f"there is no source named {name!r}; there are: {', '.join(SOURCES) or 'none'}", name)
    return SOURCES[name]


def check_period(period: float) -> float:
    """Raise `ScheduleError` for what is no period in seconds."""
    if isinstance(period, bool) or not isinstance(period, (int, float)) or not 0 < period < float("inf"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"a period is a number of seconds greater than 0, not {period!r}", period)
    return float(period)


def announce_sources(engine: Engine) -> None:
    """Declare all that this process knows to an engine that does not know it yet."""
    for source in SOURCES.values():
        engine.add_source(source)


def _checked(func: Callable[..., Any], checker: Checker) -> Callable[..., Any]:
    call = adapt(func)

    @functools.wraps(func)
    def run_if(num: int) -> object:
        return call(num) if checker() else None

    return run_if


def _free_name(base: str) -> str:
    name, number = base, 1
    while name in SOURCES:
        number += 1
        name = f"{base}#{number}"
    return name
