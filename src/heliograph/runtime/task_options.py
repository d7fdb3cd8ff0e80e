"""The options of the decorator `task` and of `Task.using`, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from heliograph import engines
from heliograph._core.tasks.options import (
    TaskOptions,
    check_count,
    check_exceptions,
    check_flag,
    check_priority,
    check_unique,
    parse_rate,
)
from heliograph._core.tasks.targets import DEFAULT_TARGET, check_target
from heliograph._core.tasks.times import duration
from heliograph.exceptions import InvalidTask
from heliograph.models import MICROSECONDS
from heliograph.runtime.signals import target_text


def _seconds(argument: str, value: object) -> float:
    return duration(argument, value) / MICROSECONDS


def _seconds_or_none(argument: str, value: object) -> float:
    return 0.0 if value is None else _seconds(argument, value)


def _count_or_none(argument: str, value: object) -> int:
    return 0 if value is None else check_count(argument, value, 1)


def _retries(argument: str, value: object) -> int | None:
    return None if value is None else check_count(argument, value)


def _target(_argument: str, value: Any) -> str:
    text = DEFAULT_TARGET if value is None else target_text(value)
    return check_target(text, engines.current().topology)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "target": _target,
    "priority": lambda _, value: check_priority(value),
    "retries": _retries,
    "retry_on": check_exceptions,
    "backoff": _seconds,
    "max_backoff": _seconds,
    "time_limit": _seconds_or_none,
    "limit": _count_or_none,
    "rate": lambda _, value: parse_rate(value),
    "expires": _seconds_or_none,
    "unique": lambda _, value: check_unique(value),
    "redeliver": check_flag,
    "result_ttl": _seconds,
}


def checked_options(options: TaskOptions, given: Mapping[str, Any]) -> TaskOptions:
    """Return the options with these changes.

    Raises:
        InvalidTask: A value is invalid, or `retry_on` has no `retries`.
        TargetError: The server does not have the target.
        TypeError: There is no such option.
    """
    unknown = sorted(given.keys() - _CHECKS.keys())
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}. Use one of {', '.join(sorted(_CHECKS))}, name.")
    changed = replace(options, **{name: _CHECKS[name](name, value) for name, value in given.items()})
    if "retry_on" in given and changed.retry_on is not None and changed.retries is None:
        raise InvalidTask(f"retry_on without retries: {changed.retry_on!r}. Pass retries= too.", "retry_on")
    return changed
