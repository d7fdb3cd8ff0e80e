"""A file in the store's directory with the functions that the processes of its server have, their targets and limits.

A shell reads it: without importing the application it knows which tasks wait for code that is not there, or behind a
limit, and the target of a task by its name. It is only a note. Without it, or with an old one, no task is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliograph._core.tasks.limits import NO_LIMITS
from heliograph._core.tasks.values import Rate, TaskLimits
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.ipc.private_files import replace_private_file

_LOG = tolerant_logger("heliograph.tasks")

FUNCTIONS = "functions"


def write(directory: str, targets: Mapping[str, str], limits: Mapping[str, TaskLimits] = NO_LIMITS) -> None:
    """Replace the note if it says something else. A failure is logged."""
    limited = {name: _to_json(found) for name, found in limits.items() if found.limit or found.rate}
    note = {"targets": dict(targets), "limits": limited}
    if _load(directory) == note:
        return
    path = Path(directory, FUNCTIONS)
    try:
        replace_private_file(path, json.dumps(note).encode())
    except OSError as error:
        _LOG.warning("Cannot note the functions of tasks in %s: %s", path, error.strerror)


def read(directory: str) -> Mapping[str, str] | None:
    """Return the functions with their targets. None: there is no note, or it cannot be read."""
    try:
        return {name: str(target) for name, target in _load(directory)["targets"].items()}
    except (AttributeError, KeyError, TypeError):
        return None


def read_limits(directory: str) -> Mapping[str, TaskLimits]:
    """Return the functions that have a limit or a rate."""
    try:
        return {name: _from_json(*found) for name, found in _load(directory)["limits"].items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _load(directory: str) -> Any:
    try:
        with open(os.path.join(directory, FUNCTIONS), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _to_json(limits: TaskLimits) -> list[int]:
    return [limits.limit, *([limits.rate.count, limits.rate.period] if limits.rate is not None else [])]


def _from_json(limit: int, count: int = 0, period: int = 0) -> TaskLimits:
    return TaskLimits(int(limit), Rate(int(count), int(period)) if count else None)
