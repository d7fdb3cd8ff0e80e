"""Cron rules: fields -> CronRule, and CronRule + time + zone -> the next time.

Rules

1.  Omitted fields have the defaults of APScheduler. The order is month, day, weekday, hour, minute. A field finer than
    the finest given one defaults to its lowest value, a coarser one to any. The weekday always defaults to any, since
    it would restrict the day.
2.  If day and weekday are both restricted, one of them must match. With `*`, `*/N` or uWSGI's -N in either, both must.
3.  A rule with `*`, `*/N` or -N as hour or minute follows elapsed time. It fires in each minute that passes and that
    matches on the wall clock. A skipped time does not fire, a repeated time fires twice.
4.  Any other rule has fixed times and fires once for each: when the clock first shows it or, if it is skipped, right
    after the gap. All times that one gap skips are one run.

Rules 3 and 4 come from Debian's cron (`cron.c`, the four kinds of wakeup; `entry.c`, `MIN_STAR` and `HR_STAR`).
Exceptions: at the end of a gap Debian's cron runs a job as often as it was skipped, and it treats changes of three
hours and more as corrections.

How it works

CronSim walks the calendar correctly if there are no clock changes. docs/explanation/cron-libraries.md describes how it
and other libraries handle clock changes. This module handles them itself: between two changes, the wall clock is the
epoch plus a constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from cronsim import CronSim

from heliograph._core.schedule.cron_fields import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    WEEKDAY,
    both_days_must_match,
    crontab,
    follows_elapsed_time,
    spelled,
    values,
)
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule

_SECOND = timedelta(seconds=1)
_DAY = 86_400
_YEAR = 365 * _DAY
_SEARCH_LIMIT = 50 * _YEAR
"""Seconds after which a rule counts as never firing. 29 February on a given weekday can take 40 years."""

_END = 250_000_000_000
"""Seconds since 1970, in the year 9892, so that a search ends before the calendar does."""

NAMED_RULES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Names of rules, as in a crontab -> their fields."""

_FIELDS = "minute, hour, day, month, weekday"
_MONTH_LENGTHS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron_rule(  # noqa: PLR0913 - a cron rule has five fields
    expression: str | None = None,
    *,
    minute: str | int | None = None,
    hour: str | int | None = None,
    day: str | int | None = None,
    month: str | int | None = None,
    weekday: str | int | None = None,
    tz: str = "",
) -> CronRule:
    """Parse five fields in one text, or some of them by name. `tz` is not checked.

        cron_rule("0 3 * * mon-fri")
        cron_rule(hour="10-18/2", weekday=-2)
        cron_rule("@daily")

    Raises:
        ScheduleError: A field is invalid, day and month never match, or an expression came together with fields.
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
    """Return the first time after `after` at which the rule fires in that zone, both in seconds since 1970.

    Infinity if there is none within fifty years (the zone may always skip that hour), and from the year 9892 on.
    """
    if after >= _END:
        return math.inf
    start = math.floor(after)
    fires = _elapsed if follows_elapsed_time(rule) else _fixed
    return fires(rule, start, zone)


def _filled(*given: str | int | None) -> tuple[str | int, ...]:
    """Replace None by the defaults. The fields are minute, hour, day, month, weekday."""
    minute, hour, day, month, weekday = given
    order = (month, day, weekday, hour, minute)
    finest = max((place for place, value in enumerate(order) if value is not None), default=len(order))
    lowest = ("*", 1, "*", 0, 0)
    month, day, weekday, hour, minute = (
        value if value is not None else lowest[place] if place > finest else "*" for place, value in enumerate(order)
    )
    return minute, hour, day, month, weekday


def _split(expression: object, given: tuple[object, ...]) -> tuple[str, ...]:
    what = f"invalid cron expression: {expression!r}"
    if any(value is not None for value in given):
        raise ScheduleError(f"{what} came together with fields. Pass one or the other.", expression)
    text = expression.strip() if isinstance(expression, str) else ""
    if text.startswith("@") and text.lower() not in NAMED_RULES:
        raise ScheduleError(f"{what}. Such names are {', '.join(NAMED_RULES)}.", expression)
    fields = tuple(NAMED_RULES.get(text.lower(), text).split())
    if len(fields) != 5:
        raise ScheduleError(
            f"{what}. Pass five fields, as in '0 3 * * mon-fri': {_FIELDS}. Or pass a name such as '@daily'.",
            expression,
        )
    return fields


def _refuse_never(rule: CronRule) -> None:
    longest = max(_MONTH_LENGTHS[month] for month in values(MONTH, rule.month))
    if both_days_must_match(rule) and min(values(DAY, rule.day)) > longest:
        never = f"cron fields never match together: day={rule.day!r} and month={rule.month!r}"
        raise ScheduleError(f"{never}. Such a month has at most {longest} days.", rule.day)


def _calendar(rule: CronRule, after: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times after `after` that match the fields, without regard to clock changes."""
    days, months = crontab(DAY, rule.day), crontab(MONTH, rule.month)
    times = CronSim(f"{rule.minute} {rule.hour} {days} {months} {rule.weekday}", after)
    times.day_and = both_days_must_match(rule)
    return times


def _fixed(rule: CronRule, start: int, zone: tzinfo) -> float:
    """Apply rule 4. The first match may be before `start`, if the clock shows a time again."""
    for wall in _calendar(rule, _wall(start, zone)):
        at = _first_showing(wall, zone)
        if at > start:
            return at
    return math.inf


def _elapsed(rule: CronRule, start: int, zone: tzinfo) -> float:
    """Apply rule 3, from one clock change to the next. `at` is the first second that counts."""
    at = start + 1
    while at < start + _SEARCH_LIMIT:
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
    """Return the time that the clock shows."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)


def _first_showing(wall: datetime, zone: tzinfo) -> int:
    """Return when the clock shows `wall` first. If a gap skips it, return the end of the gap."""
    at = int(wall.replace(tzinfo=zone).timestamp())
    if _wall(at, zone) == wall:
        return at
    return _change_between(zone, int(wall.replace(tzinfo=zone, fold=1).timestamp()), at)


def _next_change(zone: tzinfo, after: int, until: int) -> int | None:
    """Return the first clock change after `after` and not after `until`."""
    return next(changes_between(zone, after, until), None)


def changes_between(zone: tzinfo, after: int, until: int) -> Iterator[int]:
    """Yield the clock changes of a zone after `after` and not after `until`, in seconds since 1970."""
    for year in range(after // _YEAR, until // _YEAR + 1):
        for change in _changes(zone, year):
            if after < change <= until:
                yield change


@lru_cache(maxsize=1024)
def _changes(zone: tzinfo, year: int) -> tuple[int, ...]:
    """Return all clock changes of a zone in a year of 365 days, counted from 1970. No zone has two in one day."""
    days = range(year * _YEAR, (year + 1) * _YEAR, _DAY)
    return tuple(
        _change_between(zone, day, day + _DAY) for day in days if offset_at(zone, day) != offset_at(zone, day + _DAY)
    )


def _change_between(zone: tzinfo, before: int, after: int) -> int:
    """Return the first second of the offset at `after`. The offset at `before` is another one."""
    old = offset_at(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if offset_at(zone, middle) == old else (before, middle)
    return after


def offset_at(zone: tzinfo, at: int) -> timedelta:
    """Return the offset of the wall clock from UTC at a time in seconds since 1970."""
    return datetime.fromtimestamp(at, zone).utcoffset() or timedelta()
