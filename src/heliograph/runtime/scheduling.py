"""Timers and cron rules: run a function every so often, or at certain times, in one process of a server.

    >>> @register_timer(10, target="mule")
    ... def refresh() -> None: ...
    >>> @register_cron(hour=3, tz="Europe/Berlin")
    ... def nightly() -> None: ...

A decorated function has a signal of its own, and comes back unchanged. See `RunOptions` for what all of them take.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple, Unpack

from heliograph._core.schedule.cron import cron_rule
from heliograph._core.schedule.schedule import Schedule
from heliograph.exceptions import ScheduleError
from heliograph.models import Timer
from heliograph.runtime.triggers import (
    TRIGGERS,
    TriggerDecorator,
    TriggerOptions,
    change_period,
    check_options,
    check_period,
    get_triggers,
    unregister_trigger,
)
from heliograph.timing.clocks import clock_reading
from heliograph.timing.zones import next_fire
from heliograph.timing.zones import zone_named

__all__ = [
    "NextRun",
    "change_period",
    "get_triggers",
    "next_runs",
    "register_cron",
    "register_timer",
    "register_timer_ms",
    "register_timer_rb",
    "unregister_trigger",
]


_END = datetime.max.replace(tzinfo=UTC).timestamp() - 1
"""Seconds since 1970; later times are no datetimes."""


class NextRun(NamedTuple):
    """A run to come: when (UTC), of which source, and the signal that it raises."""

    when: datetime
    name: str
    num: int


def register_timer(period: float, **options: Unpack[TriggerOptions]) -> TriggerDecorator:
    """Decorator: run the function every `period` seconds, on the grid of the server's start.

    Raises `ScheduleError` for a period that is not greater than 0; a microsecond is the shortest.
    """
    return TriggerDecorator(Timer(check_period(period)), check_options(options))


def register_timer_rb(
    period: float, *, repeat: int | None = None, **options: Unpack[TriggerOptions]
) -> TriggerDecorator:
    """Decorator: run the function every `period` seconds, `repeat` times; for ever if that is None or 0."""
    if repeat is not None and (isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"repeat is how often, an int of 0 (for ever) or more, not {repeat!r}", repeat)
    return TriggerDecorator(Timer(check_period(period), repeat or 0), check_options(options))


def register_timer_ms(period: float, **options: Unpack[TriggerOptions]) -> TriggerDecorator:
    """Decorator: run the function every `period` milliseconds."""
    return TriggerDecorator(Timer(check_period(period, per_second=1000)), check_options(options))


def register_cron(  # noqa: PLR0913 - a cron rule has five fields and a zone
    expression: str | None = None,
    *,
    weekday: str | int | None = None,
    month: str | int | None = None,
    day: str | int | None = None,
    hour: str | int | None = None,
    minute: str | int | None = None,
    tz: str = "",
    **options: Unpack[TriggerOptions],
) -> TriggerDecorator:
    """Decorator: run the function once in each minute that matches, in the zone `tz` (default: this machine's own).

    Either an expression, `"0 3 * * mon-fri"`, or fields: numbers (-1 is any, -N is every N-th, as uWSGI has it),
    ranges and steps (`hour="10-18/2"`). What is left out is the lowest value where it is finer than the finest given
    field, and any where it is coarser: `hour=3` is 3:00 once a day. Day and weekday are ORed when both are given.

    Where clocks change, a time that is skipped runs right after the gap, and one that is repeated runs once; a rule
    with any hour or any minute follows the time that passes instead, as Debian's cron has it. Raises
    `ScheduleError` for fields that cannot be, and for an unknown zone.
    """
    rule = cron_rule(expression, minute=minute, hour=hour, day=day, month=month, weekday=weekday, tz=tz)
    zone_named(tz)
    return TriggerDecorator(rule, check_options(options))


def next_runs(count: int) -> list[NextRun]:
    """The next runs of all that this process has declared, the soonest first; timers as if they started now.

    What comes after the year 9999 is left out.
    """
    schedule = Schedule(next_fire, lambda: 0.0)
    now = clock_reading()
    schedule.replace_all(TRIGGERS.values(), now)
    runs = schedule.upcoming(count, now)
    return [
        NextRun(datetime.fromtimestamp(when, UTC), trigger.name, trigger.num) for when, trigger in runs if when < _END
    ]
