"""Count the runs of a cron rule in a period, without a calendar lookup for each run.

Between two clock changes the wall clock is the epoch plus a constant. There the runs of a day are the matching minutes
times the matching hours, and only the first and the last day of a period need a closer look. The rules for clock
changes are those of `heliograph._core.schedule.cron`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from heliograph._core.schedule.cron import changes_between, offset_at
from heliograph._core.schedule.cron_days import MatchingDays
from heliograph._core.schedule.cron_fields import HOUR, MINUTE, follows_elapsed_time, values
from heliograph.models import CronRule

_DAY = 86_400
_EPOCH = date(1970, 1, 1)


def count_fires(rule: CronRule, after: float, until: float, zone: tzinfo) -> int:
    """Return how often a rule fires in a zone after `after` and until `until` (included), in seconds since 1970."""
    start, end = math.floor(after) + 1, math.floor(until) + 1
    if end <= start:
        return 0
    wall = _WallTimes(rule)
    count = _elapsed if follows_elapsed_time(rule) else _fixed
    return count(wall, start, end, zone)


def _elapsed(wall: _WallTimes, start: int, end: int, zone: tzinfo) -> int:
    """Count each matching minute that passes."""
    cuts = [start, *changes_between(zone, start, end - 1), end]
    offsets = [_seconds(zone, cut) for cut in cuts]
    return sum(
        wall.count(first + offset, last + offset) for first, last, offset in zip(cuts, cuts[1:], offsets, strict=False)
    )


def _fixed(wall: _WallTimes, start: int, end: int, zone: tzinfo) -> int:
    """Count each matching time once: when the clock first shows it, or at the end of the gap that skips it.

    `shown` is the time up to which the clock has shown or skipped everything.
    """
    runs = 0
    before = max((change for change in changes_between(zone, start - 3 * _DAY, start - 1)), default=None)
    shown = start + _seconds(zone, start)
    if before is not None:
        shown = max(shown, before + _seconds(zone, before - 1))
    at = start
    for change in [*changes_between(zone, start - 1, end - 1), end]:
        offset = _seconds(zone, at)
        runs += wall.count(shown, change + offset)
        shown = max(shown, change + offset)
        gap = change + _seconds(zone, change)
        if change < end and gap > shown:
            runs += wall.count(shown, gap + 1) > 0
            shown = gap + 1
        at = change
    return runs


@dataclass(slots=True)
class _WallTimes:
    """The wall-clock times that match the fields of a rule."""

    rule: CronRule

    def count(self, start: int, end: int) -> int:
        """Count the matching minutes from `start` until before `end`, in seconds of the wall clock since 1970."""
        if end <= start:
            return 0
        times = sorted(
            hour * 3600 + minute * 60
            for hour in values(HOUR, self.rule.hour)
            for minute in values(MINUTE, self.rule.minute)
        )
        first, last = start // _DAY, (end - 1) // _DAY
        runs = 0
        for day in self._days(first, last):
            low = bisect_left(times, start - day * _DAY) if day == first else 0
            high = bisect_left(times, end - day * _DAY) if day == last else len(times)
            runs += high - low
        return runs

    def _days(self, first: int, last: int) -> Iterator[int]:
        """Yield the matching days, in days since 1970."""
        days = MatchingDays(self.rule)
        for number in range(first, last + 1):
            if _EPOCH + timedelta(number) in days:
                yield number


def _seconds(zone: tzinfo, at: int) -> int:
    return int(offset_at(zone, at).total_seconds())
