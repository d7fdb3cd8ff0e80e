"""What one field of a cron rule may say: numbers in uWSGI's way, or text in a crontab's.

    3          this value               -1      any
    "1,15"     each of these            -N      what N divides: as a day -2 is 2, 4, 6 ..., as an hour 0, 2, 4 ...
    "10-18"    from 10 to 18            "*"     any
    "10-18/2"  10, 12, 14, 16, 18       "*/5"   from the lowest value in steps of 5: as a day 1, 6, 11 ...
    "mon-fri"  names of months and weekdays, in any case; Sunday is 0 and 7, and may end a range

-N is uWSGI's (`core/master_utils.c`, `uwsgi_cron_task_needs_execution`). It may be given as text, as in uWSGI's option
`cron`. A rule spells it `*/N` where that means the same, and -N for days and months, which are counted from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from heliograph.exceptions import ScheduleError

_EVERY = re.compile(r"-([1-9][0-9]?)")
_ITEM = re.compile(r"(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([1-9][0-9]?))?")


@dataclass(frozen=True, slots=True)
class Field:
    """A field, its bounds, both included, and the names of its values from the lowest."""

    name: str
    lowest: int
    highest: int
    count: int
    """How many different values there are; no step is longer."""

    names: tuple[str, ...] = ()


class Item(NamedTuple):
    """One item of a field's list: how a rule spells it, and what it stands for."""

    text: str
    values: range


MINUTE = Field("minute", 0, 59, 60)
HOUR = Field("hour", 0, 23, 24)
DAY = Field("day", 1, 31, 31)
MONTH = Field("month", 1, 12, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
WEEKDAY = Field("weekday", 0, 7, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))


def read(field: Field, value: object) -> tuple[Item, ...]:
    """Understand what was given for a field; anything but the above is a `ScheduleError`."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        _refuse(field, value, f"is a {type(value).__name__}")
    text = str(value).lower()
    every = _EVERY.fullmatch(text)
    if every is not None:
        return (_every(field, int(every[1]), value),)
    return tuple(_item(field, item, value) for item in text.split(","))


def spelled(field: Field, value: object) -> str:
    """The same as a rule holds it: in numbers; it reads back as itself."""
    return ",".join(item.text for item in read(field, value))


def values(field: Field, value: object) -> frozenset[int]:
    """All values that a field stands for."""
    return frozenset(number for item in read(field, value) for number in item.values)


def crontab(field: Field, text: str) -> str:
    """A rule's field without uWSGI's -N."""
    return f"{text[1:]}-{field.highest}/{text[1:]}" if text.startswith("-") else text


def _every(field: Field, step: int, given: object) -> Item:
    if step > field.count:
        _refuse(field, given, f"has a step above {field.count}")
    if step == 1 or not field.lowest:
        return _starred(field, step)
    return Item(f"-{step}", range(step, field.highest + 1, step))


def _starred(field: Field, step: int) -> Item:
    return Item("*" if step == 1 else f"*/{step}", range(field.lowest, field.highest + 1, step))


def _item(field: Field, text: str, given: object) -> Item:
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


def _range(field: Field, low: int, high: int, step: int, given: object) -> Item:
    """A range; one of a single value is spelled as that, since CronSim takes `5-5/2` for `5-59/2`."""
    if high < low:
        _refuse(field, given, f"has a range that runs backwards, {low}-{high}")
    if low == high:
        return Item(f"{low}", range(low, low + 1))
    return Item(f"{low}-{high}" if step == 1 else f"{low}-{high}/{step}", range(low, high + 1, step))


def _end(field: Field, text: str, low: int, given: object) -> int:
    """A range's last value; one that ends on `sun` ends with the week."""
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
    raise ScheduleError(
        f"cron field {field.name}={value!r} {reason}: use {field.lowest} to {field.highest}{names}, -1 for any, "
        f"-N for every N up to {field.count}, or text such as '*', '*/2', '{field.lowest + 1}-{field.highest}', '2,4'",
        value,
    )
