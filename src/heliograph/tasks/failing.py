"""The functions of this process that are told of each failed attempt of a task."""

from __future__ import annotations

import threading
from collections.abc import Callable

from heliograph._core.tasks.values import Claim, Outcome, TaskStatus

Listener = Callable[[Claim, BaseException, bool], object]
"""Takes the attempt, its exception, and True if the task has no further attempt. It must not raise."""

LISTENERS: list[Listener] = []

_TIMEOUT = 1.0
"""Seconds for the listeners of an attempt whose process is about to be killed."""


def report(claim: Claim, outcome: Outcome, error: BaseException) -> None:
    """Call all listeners."""
    for listener in LISTENERS:
        listener(claim, error, outcome.status is not TaskStatus.READY)


def report_before_kill(claim: Claim, outcome: Outcome, error: BaseException) -> None:
    """Call all listeners in a thread, and wait a moment for them: this process must be killed in any case."""
    if LISTENERS:
        thread = threading.Thread(target=report, args=(claim, outcome, error), daemon=True)
        thread.start()
        thread.join(_TIMEOUT)
