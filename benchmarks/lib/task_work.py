"""The functions that every task queue runs."""

from __future__ import annotations

import os
from pathlib import Path

from lib.task_counters import FOLDER_ENV, TaskCounters

FOLDER = Path(os.environ[FOLDER_ENV])
"""Directory of the run."""

REDIS_SOCKET = FOLDER / "redis.sock"

ARGUMENTS = ("user@example.org", 42)
"""Arguments of every task."""

_COUNTERS = TaskCounters(FOLDER)


def count(address: str, number: int) -> None:  # noqa: ARG001 - the arguments travel, the function does nothing
    """Count itself, and nothing else: the cost of a task is that of its queue."""
    _COUNTERS.count()


def stamp(address: str, number: int) -> None:  # noqa: ARG001 - as above
    """Record when its first line runs."""
    _COUNTERS.stamp()
