"""The tasks of an inline engine, as a test looks at them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from heliograph._core.tasks.times import moment
from heliograph._core.tasks.values import TaskRow, TaskStatus


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A task that was enqueued, with its status now. Arguments are as JSON has them."""

    name: str
    """Module and name of the function: `shop.tasks:send_mail`."""
    args: list[Any]
    kwargs: dict[str, Any]
    status: TaskStatus
    attempts: int
    target: str
    priority: int
    run_after: datetime | None
    unique: str | None
    id: str


def enqueued(row: TaskRow) -> Enqueued:
    """Return a task of the store as a test looks at it."""
    args, kwargs = json.loads(row.arguments)
    return Enqueued(
        row.name,
        args,
        kwargs,
        row.status,
        row.attempts,
        row.target,
        row.priority,
        moment(row.run_after),
        row.unique,
        row.id,
    )
