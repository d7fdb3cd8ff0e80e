"""The steps in a task's life that do not depend on a store."""

from __future__ import annotations

import json
from dataclasses import dataclass

from heliograph._core.tasks.values import MAX_DEATHS, NewTask, TaskStatus

MAX_INTEGER = 2**63 - 1

SLACK = 1_000_000
"""Microseconds by which the clocks of callers may differ."""

LARGE_JUMP = 60_000_000
"""Microseconds. A larger jump of the clock changes when finished tasks are removed."""


@dataclass(frozen=True, slots=True)
class Death:
    """The consequence of the end of a process that ran a task."""

    status: TaskStatus
    deaths: int
    counts: bool
    """False: the server ended the process, so the attempt does not count."""


def after_death(deaths: int, *, redeliver: bool, interrupted: bool) -> Death:
    """Return what becomes of a task whose process ended during an attempt.

    Args:
        deaths: Number of processes in a row that ended before, during earlier attempts.
        redeliver: False: the task runs at most once.
        interrupted: The server itself ended the process, to reload or to stop.
    """
    if not redeliver:
        return Death(TaskStatus.FAILED, deaths + (not interrupted), counts=True)
    if interrupted:
        return Death(TaskStatus.READY, deaths, counts=False)
    deaths += 1
    return Death(TaskStatus.DEAD if deaths >= MAX_DEATHS else TaskStatus.READY, deaths, counts=True)


def death_error(worker: str) -> bytes:
    """Return the error of an attempt whose process ended."""
    text = f"The process that ran the task ended: {worker or 'unknown'}."
    return json.dumps({"type": "heliograph.exceptions.ProcessEnded", "traceback": text}).encode()


def lost_value_error(size: int) -> bytes:
    """Return the error for a value of `size` bytes that was lost, because the disk was full until the process ended."""
    text = f"The outcome was lost ({size} bytes): the disk was full until the process ended. The task did end."
    return json.dumps({"type": "heliograph.exceptions.StoreError", "traceback": text}).encode()


def check_new(task: NewTask) -> None:
    """Raise `ValueError` if a number of a new task does not fit in 64 bits, or if its key is no valid text."""
    for name in ("priority", "run_after", "expires"):
        value = getattr(task, name)
        if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            raise ValueError(f"{name} out of range: {value}. Use an integer of 64 bits.")
    for name in ("name", "target", "unique"):
        text = getattr(task, name)
        if text is not None and ("\0" in text or not _is_valid(text)):
            raise ValueError(f"invalid {name}: {text!r}. Use text without NUL characters and lone surrogates.")


def _is_valid(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
