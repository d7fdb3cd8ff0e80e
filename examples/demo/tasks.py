"""The tasks of the demo, and the result that each should have."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from heliograph import Task, TaskContext, TaskResult, TaskStatus, task

DELAY = 2.0
"""Seconds after which the task `remind` is due."""

_LONG = 60.0
"""Seconds of the attempt that the demo kills together with the server."""


@task
def confirm(customer: str) -> str:
    """Return at once. Without `target=` it runs in the spooler."""
    return f"confirmed to {customer}"


@task(retries=2, backoff=0.1)
def charge(context: TaskContext, cents: int) -> str:
    """Fail twice, as a payment service might."""
    if context.attempt < 3:
        raise ConnectionError("the payment service does not answer")
    return f"charged {cents} cents"


@task
def remind(customer: str) -> str:
    """Return at once. It is enqueued with `run_after=`."""
    return f"reminded {customer}"


@task(target="mule")
def pack(context: TaskContext) -> str:
    """Take long at the first attempt, which the demo kills. The second one returns at once."""
    if context.attempt == 1:
        time.sleep(_LONG)
    return "packed"


def order(customer: str) -> dict[str, str]:
    """Enqueue one task of each kind, as the view of a shop would. Return their ids by name."""
    return {
        "confirm": confirm.enqueue(customer).id,
        "charge": charge.enqueue(cents=1999).id,
        "remind": remind.using(run_after=timedelta(seconds=DELAY)).enqueue(customer).id,
        "pack": pack.enqueue().id,
    }


@dataclass(frozen=True, slots=True)
class TaskCase:
    """A task, what it shows, and the result that it should have."""

    task: Task[..., str]
    shows: str
    attempts: int
    runs_in: str
    """The process of the last attempt, or the beginning of its name."""
    after_restart: bool = False

    @property
    def name(self) -> str:
        """Name of the function."""
        return str(self.task.func.__name__)

    def correct(self, result: TaskResult) -> bool:
        """Return True if the task ran as it should."""
        return (
            result.status is TaskStatus.SUCCESSFUL
            and result.attempts == self.attempts
            and result.worker_ids[-1].startswith(self.runs_in)
            and (self.task != remind or seconds_to_start(result) >= DELAY)
        )


def seconds_to_start(result: TaskResult) -> float:
    """Return the seconds from enqueueing a task to the beginning of its last attempt. 0: it has not begun."""
    if result.last_attempted_at is None or result.enqueued_at is None:
        return 0.0
    return (result.last_attempted_at - result.enqueued_at).total_seconds()


TASK_CASES = (
    TaskCase(confirm, "enqueued by a request", 1, "spooler1"),
    TaskCase(charge, "fails twice, then succeeds", 3, "spooler1"),
    TaskCase(remind, f"due in {DELAY:g} seconds", 1, "spooler1"),
    TaskCase(pack, "survives kill -9 of the whole server", 2, "mule", after_restart=True),
)
