"""Fields of a cron rule: numbers as in uWSGI, or text as in a crontab.

    3          this value               -1      any
    "1,15"     each of these            -N      values that N divides: day -2 is 2, 4, 6 ..., hour -2 is 0, 2, 4 ...
    "10-18"    from 10 to 18            "*"     any
    "10-18/2"  10, 12, 14, 16, 18       "*/5"   from the lowest value in steps of 5: day 1, 6, 11 ...
    "mon-fri"  names of months and weekdays, in upper or lower case. Sunday is 0 and 7, and may end a range
    "L", "LW"  as a day: the last one of the month, the last one from Monday to Friday
    "fri#2"    as a weekday: the second Friday of the month
    "friL"     as a weekday: the last Friday of the month

-N is from uWSGI (`core/master_utils.c`, `uwsgi_cron_task_needs_execution`). It may be text, as in the option `cron`.
A rule has `*/N` in its place where that means the same, and -N for days and months, which are counted from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule

LAST, LAST_WORKDAY = -1, -2
"""Values of `Item.only`, besides 1 to 5: the last of the month, and its last day from Monday to Friday."""

_ENDS_OF_MONTH = {"l": (LAST, range(28, 32)), "lw": (LAST_WORKDAY, range(26, 32))}
_EVERY = re.compile(r"-([1-9][0-9]?)")
_WEEKDAY_OF_MONTH = re.compile(r"([0-7]|[a-z]{3})(?:#([1-5])|l)")
_ITEM = re.compile(r"(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([1-9][0-9]?))?")


@dataclass(frozen=True, slots=True)
class Field:
    """A field, its bounds (both included), and the names of its values from the lowest."""

    name: str
    lowest: int
    highest: int
    count: int
    """Number of different values. No step is larger."""

    names: tuple[str, ...] = ()


class Item(NamedTuple):
    """One item of the list of a field: its text in a rule, and its values."""

    text: str
    values: range
    only: int = 0
    """0: all such days. Otherwise only one of those in a month: the first to the fifth, or the last."""


MINUTE = Field("minute", 0, 59, 60)
HOUR = Field("hour", 0, 23, 24)
DAY = Field("day", 1, 31, 31)
MONTH = Field("month", 1, 12, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
WEEKDAY = Field("weekday", 0, 7, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))

_FORMS_OF_MONTH = {DAY: ", 'L' or 'LW'", WEEKDAY: ", 'fri#2' or 'friL'"}
"""Forms that a field alone has, for errors."""


def read(field: Field, value: object) -> tuple[Item, ...]:
    """Parse the value of a field.

    Raises:
        ScheduleError: The value has none of the forms above.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        _refuse(field, value, f"is a {type(value).__name__}")
    text = str(value).lower()
    every = _EVERY.fullmatch(text)
    if every is not None:
        return (_every(field, int(every[1]), value),)
    return tuple(_item(field, item, value) for item in text.split(","))


def spelled(field: Field, value: object) -> str:
    """Return the value as text with numbers only, as in a `CronRule`."""
    return ",".join(item.text for item in read(field, value))


def values(field: Field, value: object) -> frozenset[int]:
    """Return all values that may match a field. `MatchingDays` knows which days of a month do."""
    return frozenset(number for item in read(field, value) for number in item.values)


def crontab(field: Field, text: str) -> str:
    """Return the field of a rule without uWSGI's -N."""
    return f"{text[1:]}-{field.highest}/{text[1:]}" if text.startswith("-") else text


def follows_elapsed_time(rule: CronRule) -> bool:
    """Return True if a rule fires in each matching minute that passes, False if it has fixed times."""
    return rule.minute.startswith("*") or rule.hour.startswith("*")


def both_days_must_match(rule: CronRule) -> bool:
    """Return True if the day and the weekday must match, False if one of them is enough."""
    return rule.day.startswith(("*", "-")) or rule.weekday.startswith("*")


def _every(field: Field, step: int, given: object) -> Item:
    if step > field.count:
        _refuse(field, given, f"has a step above {field.count}")
    if step == 1 or not field.lowest:
        return _starred(field, step)
    return Item(f"-{step}", range(step, field.highest + 1, step))


def _starred(field: Field, step: int) -> Item:
    return Item("*" if step == 1 else f"*/{step}", range(field.lowest, field.highest + 1, step))


def _item(field: Field, text: str, given: object) -> Item:
    once = _once_a_month(field, text, given)
    if once is not None:
        return once
    match = _ITEM.fullmatch(text)
    if match is None:
        _refuse(field, given, f"has {text!r} in it" if text else "is empty or has an empty item")
    step = int(match[3] or 1)
    if step > field.count:
        _refuse(field, given, f"has a step above {field.count}")
    if match[1] is None:
        return _starred(field, step)
    low = _number(field, match[1], given)
    if match[2] is None:
        return Item(f"{low}", range(low, low + 1)) if match[3] is None else _step_without_range(field, low, step, given)
    return _range(field, low, _end(field, match[2], low, given), step, given)


def _once_a_month(field: Field, text: str, given: object) -> Item | None:
    """Return an item that matches one day of a month, or None. CronSim knows numbers of weekdays only."""
    if field is DAY and text in _ENDS_OF_MONTH:
        only, days = _ENDS_OF_MONTH[text]
        return Item(text.upper(), days, only)
    match = _WEEKDAY_OF_MONTH.fullmatch(text) if field is WEEKDAY else None
    if match is None:
        return None
    weekday = _number(field, match[1], given) % 7
    if match[2] is None:
        return Item(f"{weekday}L", range(weekday, weekday + 1), LAST)
    return Item(f"{weekday}#{match[2]}", range(weekday, weekday + 1), int(match[2]))


def _range(field: Field, low: int, high: int, step: int, given: object) -> Item:
    """Return a range. A range of one value becomes that value, since CronSim reads `5-5/2` as `5-59/2`."""
    if high < low:
        _refuse(field, given, f"has a range with its end before its start, {low}-{high}")
    if low == high:
        return Item(f"{low}", range(low, low + 1))
    return Item(f"{low}-{high}" if step == 1 else f"{low}-{high}/{step}", range(low, high + 1, step))


def _end(field: Field, text: str, low: int, given: object) -> int:
    """Return the last value of a range. `sun` at the end of a range is 7."""
    return field.highest if text == "sun" and field is WEEKDAY and low else _number(field, text, given)


def _number(field: Field, text: str, given: object) -> int:
    if text in field.names:
        return field.names.index(text) + field.lowest
    if not text.isdigit():
        _refuse(field, given, f"has the unknown name {text!r}")
    if not field.lowest <= int(text) <= field.highest:
        _refuse(field, given, "is out of range")
    return int(text)


def _step_without_range(field: Field, low: int, step: int, given: object) -> NoReturn:
    _refuse(field, given, f"has a step without a range (say {low}-{field.highest}/{step})")


def _refuse(field: Field, value: object, reason: str) -> NoReturn:
    names = f" (or {field.names[0]} to {field.names[-1]})" if field.names else ""
    of_month = _FORMS_OF_MONTH.get(field, "")
    raise ScheduleError(
        f"invalid cron field: {field.name}={value!r} {reason}. Use {field.lowest} to {field.highest}{names}, -1 for "
        f"any, -N for every N up to {field.count}, or text such as '*', '*/2', "
        f"'{field.lowest + 1}-{field.highest}', '2,4'{of_month}.",
        value,
    )
