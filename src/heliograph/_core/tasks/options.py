"""The options of a task, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from heliograph._core.tasks.targets import DEFAULT_TARGET
from heliograph._core.tasks.values import Rate
from heliograph.exceptions import InvalidTask
from heliograph.models import MICROSECONDS

MIN_PRIORITY, MAX_PRIORITY = -100, 100
MAX_COUNT = 1_000_000_000
"""The largest number of retries, of tasks at the same time, and of tasks in a period."""

MAX_KEY_LENGTH = 512
"""Characters of a unique key."""

_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of a function that is a task. Times are seconds."""

    target: str = DEFAULT_TARGET
    priority: int = 0
    retries: int | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    """The exceptions that `retries` are for. None: all."""
    backoff: float = 1.0
    max_backoff: float = 3600.0
    time_limit: float = 0.0
    """0: no limit."""
    limit: int = 0
    rate: Rate | None = None
    expires: float = 0.0
    """Seconds after the task was enqueued. 0: no limit."""
    unique: str | None = None
    redeliver: bool = True
    result_ttl: float = 86400.0


def parse_rate(text: object) -> Rate | None:
    """Return the rate of a text such as `"10/m"` or `"100/30s"`.

    Raises:
        InvalidTask: The text is no rate.
    """
    if text is None:
        return None
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidTask(
            f"invalid rate: {text!r}. Pass a number of tasks and a period: '10/m', '1/s', '500/h', '3/d' or '100/30s'.",
            "rate",
        )
    return Rate(int(found[1]), int(found[2] or 1) * _UNITS[found[3]] * MICROSECONDS)


def check_priority(value: object) -> int:
    """Return a priority. Raises: InvalidTask: it is not a whole number from -100 to 100."""
    return _whole("priority", value, MIN_PRIORITY, MAX_PRIORITY)


def check_count(argument: str, value: object, minimum: int = 0) -> int:
    """Return a number of tasks or attempts. Raises: InvalidTask: it is not a whole number, `minimum` or more."""
    return _whole(argument, value, minimum, MAX_COUNT)


def check_exceptions(argument: str, value: Any) -> tuple[type[BaseException], ...] | None:
    """Return classes of exceptions, also for a single one. Raises: InvalidTask: there is none, or other values."""
    if value is None:
        return None
    found = tuple(cast("Iterable[Any]", value)) if isinstance(value, tuple | list) else (value,)
    if not found or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in found):
        raise InvalidTask(
            f"invalid {argument}: {value!r:.200}. Pass classes of exceptions, such as (OSError, ValueError).",
            argument,
        )
    return found


def check_unique(value: object) -> str | None:
    """Return a unique key, None for none. Raises: InvalidTask: it is not a text of 1 to MAX_KEY_LENGTH characters."""
    if value is None:
        return None
    if isinstance(value, str) and not _is_unicode(value):
        raise InvalidTask(f"invalid unique: {value!r:.200} contains a lone surrogate. Pass text in Unicode.", "unique")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY_LENGTH:
        raise InvalidTask(f"invalid unique: {value!r:.200}. Pass a text of 1 to {MAX_KEY_LENGTH} characters.", "unique")
    return value


def check_flag(argument: str, value: object) -> bool:
    """Return a bool. Raises: InvalidTask: it is none."""
    if not isinstance(value, bool):
        raise InvalidTask(f"invalid {argument}: {value!r}. Pass True or False.", argument)
    return value


def _whole(argument: str, value: object, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise InvalidTask(f"invalid {argument}: {value!r:.200}. Pass a whole number, {minimum} to {maximum}.", argument)
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
