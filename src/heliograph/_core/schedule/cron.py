"""Cron rules: what was asked for -> CronRule, and CronRule + time + zone -> the next time.

Rules

1.  What is omitted is filled in as APScheduler does. In the order month, day, weekday, hour, minute: finer than the
    finest given field it is the lowest value (the weekday any, or it would restrict the day), coarser it is any.
2.  Where day and weekday are both restricted, one of them is enough; with `*`, `*/N` or uWSGI's -N in either, both
    must match.
3.  A rule with `*`, `*/N` or -N as hour or minute follows elapsed time: it fires in each minute that passes whose wall
    clock matches. What the clock skips does not fire; what it shows twice fires twice.
4.  Any other rule is for fixed times and fires once for each: when the clock first shows it or, if that is skipped,
    right after the gap. All that one gap skips is one run.

3 and 4 are Debian's cron (`cron.c`, the four kinds of wakeup; `entry.c`, `MIN_STAR` and `HR_STAR`). It differs at the
end of a gap, where it runs a job as often as it was skipped, and takes changes of three hours and more for corrections.

How it works

CronSim walks the calendar as if there were no zones, which it does right; what it and others make of changes of the
clock is in docs/cron-libraries.md. So these are dealt with here: between two changes, the wall clock is the epoch plus
a constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from cronsim import CronSim

from heliograph._core.schedule.cron_fields import DAY, HOUR, MINUTE, MONTH, WEEKDAY, crontab, spelled, values
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule

_SECOND = timedelta(seconds=1)
_DAY = 86_400
_YEAR = 365 * _DAY
_PATIENCE = 50 * _YEAR
"""Seconds after which a rule counts as one that never fires; 29 February on a given weekday can take 40 years."""

_END = 250_000_000_000
"""Seconds since 1970: in the year 9892, so that a search ends before the calendar does."""

_MONTH_LENGTHS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron_rule(  # noqa: PLR0913 - five fields are five names
    expression: str | None = None,
    *,
    minute: str | int | None = None,
    hour: str | int | None = None,
    day: str | int | None = None,
    month: str | int | None = None,
    weekday: str | int | None = None,
    tz: str = "",
) -> CronRule:
    """Understand five fields in one text, or some of them by name; `tz` is taken as it is.

        cron_rule("0 3 * * mon-fri")
        cron_rule(hour="10-18/2", weekday=-2)

    Raises `ScheduleError` for fields that are impossible, that never meet, or that come together with an expression.
    """
    given = (minute, hour, day, month, weekday)
    fields = _filled(*given) if expression is None else _split(expression, given)
    minute, hour, day, month, weekday = (
        spelled(field, value) for field, value in zip((MINUTE, HOUR, DAY, MONTH, WEEKDAY), fields, strict=True)
    )
    rule = CronRule(minute, hour, day, month, weekday, tz)
    _refuse_never(rule)
    return rule


def next_fire(rule: CronRule, after: float, zone: tzinfo) -> float:
    """The first time after `after`, both in seconds since the epoch, at which the rule fires in that zone.

    Infinity if that is not within fifty years (a rule may ask for an hour that its zone skips whenever it comes), and
    from the year 9892 on.
    """
    if after >= _END:
        return math.inf
    start = math.floor(after)
    fires = _elapsed if rule.minute.startswith("*") or rule.hour.startswith("*") else _fixed
    return fires(rule, start, zone)


def _filled(*given: str | int | None) -> tuple[str | int, ...]:
    """Defaults for what is None among minute, hour, day, month, weekday."""
    minute, hour, day, month, weekday = given
    order = (month, day, weekday, hour, minute)
    finest = max((place for place, value in enumerate(order) if value is not None), default=len(order))
    lowest = ("*", 1, "*", 0, 0)
    month, day, weekday, hour, minute = (
        value if value is not None else lowest[place] if place > finest else "*" for place, value in enumerate(order)
    )
    return minute, hour, day, month, weekday


def _split(expression: object, given: tuple[object, ...]) -> tuple[str, ...]:
    told = f"cron expression {expression!r}"
    if any(value is not None for value in given):
        raise ScheduleError(f"{told} came together with fields: give one or the other", expression)
    fields = tuple(expression.split()) if isinstance(expression, str) else ()
    if len(fields) != 5:
        wanted = "minute hour day month weekday, as in '0 3 * * mon-fri'"
        raise ScheduleError(f"{told} is not a text of five fields: {wanted}", expression)
    return fields


def _refuse_never(rule: CronRule) -> None:
    longest = max(_MONTH_LENGTHS[month] for month in values(MONTH, rule.month))
    if _both_days(rule) and min(values(DAY, rule.day)) > longest:
        never = f"cron fields day={rule.day!r} and month={rule.month!r} never meet"
        raise ScheduleError(f"{never}: such a month has at most {longest} days", rule.day)


def _both_days(rule: CronRule) -> bool:
    return rule.day.startswith(("*", "-")) or rule.weekday.startswith("*")


def _calendar(rule: CronRule, after: datetime) -> Iterator[datetime]:
    """The wall-clock times after `after` that the fields match, as if the clock were never changed."""
    days, months = crontab(DAY, rule.day), crontab(MONTH, rule.month)
    times = CronSim(f"{rule.minute} {rule.hour} {days} {months} {rule.weekday}", after)
    times.day_and = _both_days(rule)
    return times


def _fixed(rule: CronRule, start: int, zone: tzinfo) -> float:
    """Rule 4. What comes first may lie before `start`: where the clock shows a time again."""
    for wall in _calendar(rule, _wall(start, zone)):
        at = _first_showing(wall, zone)
        if at > start:
            return at
    return math.inf


def _elapsed(rule: CronRule, start: int, zone: tzinfo) -> float:
    """Rule 3, from one change of the clock to the next; `at` is the first second that counts."""
    at = start + 1
    while at < start + _PATIENCE:
        wall = _wall(at, zone)
        match = next(_calendar(rule, wall - _SECOND), None)
        if match is None:
            break
        found = at + (match - wall) // _SECOND
        change = _next_change(zone, at, found)
        if change is None:
            return found
        at = change
    return math.inf


def _wall(at: int, zone: tzinfo) -> datetime:
    """What the clock shows."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)


def _first_showing(wall: datetime, zone: tzinfo) -> int:
    """When the clock shows it for the first time, or the end of the gap that it is in."""
    at = int(wall.replace(tzinfo=zone).timestamp())
    if _wall(at, zone) == wall:
        return at
    return _change_between(zone, int(wall.replace(tzinfo=zone, fold=1).timestamp()), at)


def _next_change(zone: tzinfo, after: int, until: int) -> int | None:
    """The first second after `after`, and not after `until`, at which the clock is changed."""
    for year in range(after // _YEAR, until // _YEAR + 1):
        for change in _changes(zone, year):
            if after < change <= until:
                return change
    return None


@lru_cache(maxsize=1024)
def _changes(zone: tzinfo, year: int) -> tuple[int, ...]:
    """All changes of a zone's clock in a year of 365 days, counted from 1970; none is undone within a day."""
    days = range(year * _YEAR, (year + 1) * _YEAR, _DAY)
    return tuple(
        _change_between(zone, day, day + _DAY) for day in days if _offset(zone, day) != _offset(zone, day + _DAY)
    )


def _change_between(zone: tzinfo, before: int, after: int) -> int:
    """The first second of the offset that holds at `after`, where another one holds at `before`."""
    old = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after


def _offset(zone: tzinfo, at: int) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()
