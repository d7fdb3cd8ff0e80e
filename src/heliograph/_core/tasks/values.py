"""Frozen values of tasks that the store, the runner and the API share.

All times are microseconds since 1970-01-01 UTC, so that they compare and sort as integers. All payloads are JSON as
bytes: the store never looks into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from heliograph._core.records import record
from heliograph.models import MICROSECONDS

MAX_DEATHS = 3
"""Number of processes in a row that a task may kill. Then it is dead."""

MESSAGE = "heliograph.runtime.mules:message"
"""Name of the rows that are messages to a mule or farm. No function runs them: `get_message()` takes them."""


class TaskStatus(StrEnum):
    """The status of a task. The first four are those of Django's tasks."""

    READY = "READY"
    """It waits for a process, for its time, or for its next attempt."""

    RUNNING = "RUNNING"
    SUCCESSFUL = "SUCCESSFUL"
    FAILED = "FAILED"
    """It has failed, and has no attempt left."""

    DEAD = "DEAD"
    """It has killed MAX_DEATHS processes in a row."""

    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    """Its time to begin had passed."""

    @property
    def is_finished(self) -> bool:
        """True if the task will not run again, unless somebody asks for it."""
        return self not in {TaskStatus.READY, TaskStatus.RUNNING}


@record
class NewTask:
    """A task that is to be stored."""

    name: str
    """Module and name of the function: `shop.tasks:send_mail`."""

    target: str
    """Queue: `spooler`, `mule`, `mule2`, `farm_NAME`, `worker` and so on, as targets of signals are written."""

    arguments: bytes = b"[[],{}]"
    """JSON: `[positional, named]`."""

    priority: int = 0
    """-100 to 100. A larger one runs earlier; equal ones run in the order in which they were stored."""

    run_after: int = 0
    """Do not begin before this time."""

    expires: int = 0
    """Do not begin at or after this time. 0: no limit."""

    unique: str | None = None
    """While a task with this key waits or runs, no other one with the key is stored."""

    redeliver: bool = True
    """False: an attempt whose process died is not repeated. The task has failed."""

    overrides: bytes = b""
    """JSON: options that differ from those of the function (retries, backoff, time limit), else empty."""

    tick: str = ""
    """The run of a trigger that enqueues the task: its name and time. A second task with the same tick is not stored,
    not even after the end of the first one, until that is removed. Empty: none."""

    result_ttl: int = 86_400 * MICROSECONDS
    """The time from the end of the task to its removal."""


@record
class Stored:
    """The answer of the store to a new task."""

    id: str
    is_new: bool = True
    """False: a task with the same unique key was waiting or running. `id` is its id."""


@record
class Rate:
    """At most `count` begun attempts in each `period` microseconds."""

    count: int
    period: int


@record
class TaskLimits:
    """The limits of a function, over all processes of the server."""

    limit: int = 0
    """Number of attempts at the same time. 0: no limit."""

    rate: Rate | None = None


@record
class Claim:
    """A task that a process may run now. `token` names this claim: a write with an older one changes nothing."""

    id: str
    token: int
    name: str
    arguments: bytes
    attempt: int
    """Number of this attempt, counted from 1. Attempts that the server interrupted (a reload, a stop) do not count."""

    enqueued_at: int
    first_attempt_at: int
    priority: int
    run_after: int
    redeliver: bool
    overrides: bytes
    unique: str | None = None
    expires: int = 0


@record
class Batch:
    """The claims that a process got from the store."""

    claims: tuple[Claim, ...] = ()
    """In the order in which they are to run."""

    more: bool = False
    """Other tasks of this target could be claimed now."""

    next_at: int | None = None
    """The next time at which one could be claimed without another event: due, refilled or expired. None: never."""

    others: frozenset[str] = frozenset()
    """The other targets that have waiting tasks, paused ones included."""

    held: Mapping[str, str] = field(default_factory=dict[str, str])
    """Functions whose due tasks have to wait for their limit or rate -> `limit` or `rate`."""

    expired: Mapping[str, int] = field(default_factory=dict[str, int])
    """Functions -> number of tasks that expired in this turn."""


@record
class Outcome:
    """The end of an attempt."""

    status: TaskStatus
    """SUCCESSFUL or FAILED, READY for another attempt at `run_after`, or any other that ends the task."""

    value: bytes | None = None
    """JSON: the return value."""

    error: bytes | None = None
    """JSON: `{"type": "shop.errors.MailError", "traceback": "..."}`. It is added to the errors of the task."""

    run_after: int = 0
    counts: bool = True
    """False: the server interrupted the attempt, which therefore does not count."""


@record
class TaskRow:
    """A task as the store has it at one moment."""

    id: str
    name: str
    target: str
    arguments: bytes
    status: TaskStatus
    priority: int
    run_after: int
    expires: int
    unique: str | None
    redeliver: bool
    overrides: bytes
    attempts: int
    deaths: int
    """Number of processes in a row that ended while they ran it."""

    enqueued_at: int
    first_attempt_at: int
    last_attempt_at: int
    finished_at: int
    """0: not yet."""

    workers: tuple[str, ...]
    """The process of each attempt, oldest first: `mule1 (4711)`."""

    value: bytes | None
    errors: tuple[bytes, ...]
    progress: bytes | None


@record
class Paused:
    """A function or a target that was paused."""

    name: str
    since: int
    by: str
    """The user and the process that paused it."""


@record
class ClaimRequest:
    """The request of a process for tasks to run."""

    target: str
    now: int
    limit: int
    """Number of tasks at most."""

    known: Mapping[str, TaskLimits] = field(default_factory=dict[str, TaskLimits])
    """The functions that this process has, with their limits. Tasks of others wait."""

    worker: str = ""
    """This process, for people: `mule1 (4711)`."""

    slow: frozenset[str] = frozenset()
    """Functions that are slow, or whose speed is unknown. A claim of such a task is the last one of its batch, so that
    no other task waits for its end."""
