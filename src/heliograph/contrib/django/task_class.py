"""The class of tasks: Django's, with the options of heliograph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from heliograph.contrib.django import task_api
from heliograph.runtime.signals import TypeTarget, target_text

_DURATIONS = ("backoff", "max_backoff", "time_limit", "expires", "result_ttl")

OPTIONS = ("target", "retries", *_DURATIONS, "limit", "rate", "unique", "redeliver")
"""The options of heliograph. OPTIONS of the settings, and from Django 6.1 on the decorator, take them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(task_api.Task):
    """A task of Django with options of `heliograph.task`. None: as OPTIONS of the settings say."""

    target: TypeTarget | None = None
    retries: int | None = None
    backoff: float | timedelta | None = None
    max_backoff: float | timedelta | None = None
    time_limit: float | timedelta | None = None
    limit: int | None = None
    rate: str | None = None
    expires: float | timedelta | None = None
    unique: str | None = None
    redeliver: bool | None = None
    result_ttl: float | timedelta | None = None

    def __post_init__(self) -> None:
        # As JSON has them, so that the task of a result that is read again is equal to this one.
        if self.target is not None:
            object.__setattr__(self, "target", target_text(self.target))
        for name in _DURATIONS:
            value = getattr(self, name)
            if isinstance(value, timedelta):
                object.__setattr__(self, name, value.total_seconds())
        task_api.Task.__post_init__(self)

    def using(self, **changes: Any) -> Any:
        """Return this task with other options: those of Django, and those of heliograph.

        Raises:
            TypeError: There is no such option.
            InvalidTask: A value is invalid.
        """
        own = {name: changes.pop(name) for name in OPTIONS if name in changes}
        changed = task_api.Task.using(self, **changes)
        return replace(changed, **own) if own else changed


def own_options(task: task_api.Task) -> dict[str, Any]:
    """Return the options of heliograph that a task was given."""
    given = {name: getattr(task, name, None) for name in OPTIONS}
    return {name: value for name, value in given.items() if value is not None}
