"""Timers and cron rules: run a function periodically, or at certain times, in one process of a server.

    >>> @register_timer(10, target="mule")
    ... def refresh() -> None: ...
    >>> @register_cron(hour=3, tz="Europe/Berlin")
    ... def nightly() -> None: ...

Each decorator registers the function as the handler of a new signal, and returns it unchanged. `TriggerOptions` has the
keyword arguments that all of them take.
"""

from __future__ import annotations

from dataclasses import replace
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
from heliograph.timing.zones import declared_zone, next_fire

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
"""Seconds since 1970. A `datetime` cannot hold later times."""


class NextRun(NamedTuple):
    """A future run: time (UTC), name of the trigger, and the signal that it sends."""

    when: datetime
    name: str
    num: int


def register_timer(period: float, **options: Unpack[TriggerOptions]) -> TriggerDecorator:
    """Decorator: run the function every `period` seconds, at a fixed rate from the start of the server.

    Args:
        period: Seconds, at least a microsecond.
        **options: See `TriggerOptions`.

    Raises:
        ScheduleError: The period or an option is invalid.
    """
    return TriggerDecorator(Timer(check_period(period)), check_options(options))


def register_timer_rb(
    period: float, *, repeat: int | None = None, **options: Unpack[TriggerOptions]
) -> TriggerDecorator:
    """Decorator: run the function every `period` seconds, `repeat` times.

    Args:
        period: Seconds, at least a microsecond.
        repeat: Number of runs. None or 0 means without end.
        **options: See `TriggerOptions`.

    Raises:
        ScheduleError: The period, `repeat` or an option is invalid.
    """
    if repeat is not None and (isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(f"invalid repeat: {repeat!r}. Pass an int of 0 (without end) or more.", repeat)
    return TriggerDecorator(Timer(check_period(period), repeat or 0), check_options(options))


def register_timer_ms(period: float, **options: Unpack[TriggerOptions]) -> TriggerDecorator:
    """Decorator: run the function every `period` milliseconds.

    Args:
        period: Milliseconds, at least a thousandth.
        **options: See `TriggerOptions`.

    Raises:
        ScheduleError: The period or an option is invalid.
    """
    return TriggerDecorator(Timer(check_period(period, per_second=1000)), check_options(options))


def register_cron(  # noqa: PLR0913 - a cron rule has five fields and a time zone
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
    """Decorator: run the function once in each minute that matches.

    Pass either an expression such as `"0 3 * * mon-fri"`, or fields. A field is a number (as in uWSGI, -1 means any and
    -N every N-th), or text such as `"10-18/2"`. Fields finer than the finest one you give default to their lowest
    value, coarser fields default to any: `hour=3` is 3:00 once a day. If you restrict both day and weekday, one of them
    must match.

    At a DST change, a skipped time runs right after the gap, and a repeated time runs once. Exception: a rule with any
    hour or any minute follows elapsed time, as in Debian's cron.

    Args:
        expression: The five fields as one text: minute, hour, day, month, weekday. Or a name such as `"@daily"`.
        weekday: 0 to 7 or `"sun"` to `"sat"`. 0 and 7 are Sunday. `"fri#2"` is the second Friday of the month, `"friL"`
            the last.
        month: 1 to 12 or `"jan"` to `"dec"`.
        day: 1 to 31. `"L"` is the last day of the month, `"LW"` the last from Monday to Friday.
        hour: 0 to 23.
        minute: 0 to 59.
        tz: IANA name of the time zone. Default: the zone that this process has now, from the variable `TZ` (Django
            sets it to its `TIME_ZONE`) or from `/etc/localtime`.
        **options: See `TriggerOptions`.

    Raises:
        ScheduleError: A field, the time zone or an option is invalid.
    """
    rule = cron_rule(expression, minute=minute, hour=hour, day=day, month=month, weekday=weekday, tz=tz)
    rule = replace(rule, tz=declared_zone(tz))
    return TriggerDecorator(rule, check_options(options))


def next_runs(count: int) -> list[NextRun]:
    """Return the next `count` runs of all triggers of this process, soonest first, as if timers started now.

    Runs after the year 9999 are left out.
    """
    schedule = Schedule(next_fire, lambda: 0.0)
    now = clock_reading()
    schedule.replace_all(TRIGGERS.values(), now)
    runs = schedule.upcoming(count, now)
    return [
        NextRun(datetime.fromtimestamp(when, UTC), trigger.name, trigger.num) for when, trigger in runs if when < _END
    ]
