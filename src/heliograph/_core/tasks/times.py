"""Times and durations of tasks: from the values that a user passes to microseconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from heliograph.exceptions import InvalidTask
from heliograph.models import MICROSECONDS

Moment = datetime | timedelta
"""A time with a zone, or a time from now."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""The last day that a datetime can express in each zone, in microseconds since 1970."""

MAX_SECONDS = 100 * 366 * 86400.0
"""The longest duration, a hundred years. It keeps every sum of times within a datetime."""


def instant(argument: str, value: object, now: int) -> int:
    """Return microseconds since 1970 for a time with a zone, or for a time from now. A time in the past is valid.

    Raises:
        InvalidTask: The value is another one: a number, a time without a zone, a negative or too long time from now.
    """
    if isinstance(value, timedelta):
        return now + duration(argument, value)
    if not isinstance(value, datetime):
        raise InvalidTask(f"invalid {argument}: {value!r}. Pass a datetime with a time zone, or a timedelta.", argument)
    if value.utcoffset() is None:
        raise InvalidTask(
            f"invalid {argument}: {value!r} has no time zone. Pass an aware datetime, such as datetime.now(UTC).",
            argument,
        )
    return min(max(0, (value - _EPOCH) // _MICROSECOND), _LAST)


def duration(argument: str, value: object) -> int:
    """Return microseconds for a number of seconds or a timedelta, 0 or more.

    Raises:
        InvalidTask: It is another value, or longer than MAX_SECONDS.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTask(f"invalid {argument}: {value!r}. Pass seconds or a timedelta.", argument)
    if not 0 <= seconds <= MAX_SECONDS:  # also False for NaN
        raise InvalidTask(f"invalid {argument}: {value!r}. Pass 0 to {MAX_SECONDS:g} seconds.", argument)
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    return math.floor(seconds * MICROSECONDS)


def moment(microseconds: int) -> datetime | None:
    """Return the time in UTC. None for 0, which stands for no time."""
    return _EPOCH + timedelta(microseconds=microseconds) if microseconds else None
