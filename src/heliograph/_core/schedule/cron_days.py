"""The days on which a cron rule fires, by its month, day and weekday."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from heliograph._core.schedule.cron_fields import (
    DAY,
    LAST,
    LAST_WORKDAY,
    MONTH,
    WEEKDAY,
    Item,
    both_days_must_match,
    read,
    values,
)
from heliograph.models import CronRule


class MatchingDays:
    """The set of days that match a rule: `date(2026, 3, 1) in MatchingDays(rule)`."""

    def __init__(self, rule: CronRule) -> None:
        self._months = values(MONTH, rule.month)
        self._days, days = _split(read(DAY, rule.day))
        each_weekday, weekdays = _split(read(WEEKDAY, rule.weekday))
        self._weekdays = {weekday % 7 for weekday in each_weekday}
        self._ends_of_month = {item.only for item in days}
        self._weekdays_of_month = {(item.values[0], item.only) for item in weekdays}
        self._match = all if both_days_must_match(rule) else any

    def __contains__(self, day: date) -> bool:
        """Return True if the rule fires on that day."""
        return day.month in self._months and self._match((self._has_day(day), self._has_weekday(day)))

    def _has_day(self, day: date) -> bool:
        return day.day in self._days or any(day.day == _end_of_month(day, kind) for kind in self._ends_of_month)

    def _has_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if weekday in self._weekdays:
            return True
        if not self._weekdays_of_month:
            return False
        is_last = day.day + 7 > monthrange(day.year, day.month)[1]
        return (weekday, (day.day + 6) // 7) in self._weekdays_of_month or (
            is_last and (weekday, LAST) in self._weekdays_of_month
        )


def _split(items: tuple[Item, ...]) -> tuple[frozenset[int], list[Item]]:
    """Return the values that match in each week or month, and the items that match once a month."""
    each = frozenset(value for item in items if not item.only for value in item.values)
    return each, [item for item in items if item.only]


def _end_of_month(day: date, kind: int) -> int:
    """Return the last day of the month, or its last day from Monday to Friday."""
    first_weekday, last = monthrange(day.year, day.month)
    weekday = (first_weekday + last - 1) % 7
    return last - max(0, weekday - 4) if kind == LAST_WORKDAY else last
