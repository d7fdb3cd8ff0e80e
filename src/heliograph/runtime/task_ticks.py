"""Triggers that enqueue a task: each run of a cron rule is one task, also if its signal is redelivered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from heliograph import engines
from heliograph._core.signals.wakeups import wakeup_target
from heliograph.models import MICROSECONDS, CronRule, FileMonitor, Timer
from heliograph.runtime.task_type import Task
from heliograph.tasks.enqueueing import enqueue_one
from heliograph.tasks.hosting import now
from heliograph.timing.zones import next_fire

_WINDOWS = (120.0, 7200.0, 400_000.0, 24_000_000.0, 300_000_000.0)
"""Seconds before now in which the last run of a rule is searched, the shortest window first."""


def ticking(task: Task[..., Any], trigger: str, spec: Timer | CronRule | FileMonitor) -> Callable[[], None]:
    """Return the handler of a trigger that enqueues a task without arguments.

    Raises:
        TaskArgumentError: The function needs arguments.
    """
    task.definition.codec.encode((), {})

    @functools.wraps(task.func)
    def enqueue_tick() -> None:
        order = task.order
        if isinstance(spec, CronRule):
            order = replace(order, tick=f"{trigger} {last_run(spec, now() / MICROSECONDS):.0f}")
        enqueue_one(task.definition, order, (), {}, task.definition.enqueued)

    del enqueue_tick.__wrapped__  # its signature is that of the handler
    return enqueue_tick


def last_run(rule: CronRule, at: float) -> float:
    """Return the last time at or before `at`, in seconds since 1970, at which the rule was due. 0: it never was."""
    for window in _WINDOWS:
        found = next_fire(rule, at - window)
        if found <= at:
            while (later := next_fire(rule, found)) <= at:
                found = later
            return found
    return 0.0


def target_of(task: Task[..., Any]) -> str:
    """Return the target of the signal whose handler enqueues a task: that of the task."""
    topology = engines.current().topology
    return "worker" if topology is None else wakeup_target(task.options.target, topology)[0].text
