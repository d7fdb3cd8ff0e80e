"""The read model: the state of a server at one moment, as `status`, `top`, the page and the metrics show it.

Times are seconds since 1970-01-01 UTC, durations are seconds. None stands for a fact that does not exist or is not
known. `heliograph status --json` prints a `ServerState` as JSON, field by field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["critical", "warning"]
"""critical: work stands still or is lost. warning: it will be, or somebody has to look."""

ProcessStatus = Literal["missing", "starting", "running", "stopping", "killed"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason for which a server is not well."""

    code: str
    """Its kind, for programs: `hung_handler`, `crash_loop` and so on. `heliograph.insights.health` lists them."""
    severity: Severity
    subject: str
    """The thing that is unwell: a process, signal, task, trigger or path."""
    text: str
    """One sentence with the figures."""
    advice: str
    """One sentence: a command to run, or a thing to change."""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram of durations."""

    count: int
    """Number of durations. Those of busy processes may be estimates from samples."""
    total: float
    """Their sum in seconds."""
    buckets: tuple[tuple[float, int], ...]
    """Upper bound in seconds, and the number of durations in that bucket alone. Empty buckets are left out."""
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Running:
    """The handler or task that a process runs now."""

    kind: Literal["signal", "task"]
    name: str
    """The signal (`7` or its name) or the name of the task's function."""
    handler: str
    """The function as `module:name`."""
    since: float
    id: str | None = None
    """Id of the task."""
    is_overdue: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """The last exit of a process, and thus the reason for its replacement."""

    pid: int
    at: float
    reason: str
    was_expected: bool


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process of the server, or a place for one."""

    name: str
    """`master`, `worker1`, `mule2`, `spooler1`, `web server`, the name of a further command."""
    role: str
    pid: int | None
    status: ProcessStatus
    since: float | None
    """Time at which the present process was started."""
    generation: int | None
    """Generation of the code that it runs."""
    restarts: int
    """Number of starts after the first one."""
    early_exits: int
    """Number of times in a row that it exited soon after its start."""
    last_exit: Exit | None
    memory: int | None
    """PSS in bytes: shared memory is divided by the number of processes that share it."""
    running: tuple[Running, ...]
    handled: int
    """Number of signals that it and its predecessors have handled."""
    queued: int
    """Number of signals in its own queue."""
    rss: int | None = None
    """Memory in bytes, with all that it shares."""
    rss_at_start: int | None = None
    """The same when it was ready."""
    missing_since: float | None = None
    """Time since which the place has been without a process that should be there."""
    failure: str | None = None
    """Exit of a web server that does not start, with the number of times in a row."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue of signals: of one process, or of a pool or farm."""

    name: str
    queued: int
    capacity: int
    readers: tuple[str, ...] = ()
    """Names of the processes that take signals from it."""


@dataclass(frozen=True, slots=True)
class SignalState:
    """A signal with a handler."""

    num: int
    name: str
    """Its name, empty if it has a number only."""
    target: str
    handler: str
    sent: int
    done: int
    failed: int
    redelivered: int
    dropped: int
    coalesced: int
    queued: int
    waited: Distribution
    """Time from `send()` to the start of the handler."""
    ran: Distribution


@dataclass(frozen=True, slots=True)
class TaskState:
    """A function that runs as a task."""

    name: str
    target: str
    counts: dict[str, int]
    """Number of tasks by status: READY, RUNNING, SUCCESSFUL, FAILED, DEAD, CANCELLED, EXPIRED."""
    is_paused: bool
    is_known: bool
    """False if the code of the server does not have the function."""
    held_back: str | None
    """`limit` or `rate`, if that lets no attempt begin now."""
    waited: Distribution
    """Time from the moment at which an attempt could begin to its begin."""
    ran: Distribution


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store of the tasks."""

    directory: str
    tasks: tuple[TaskState, ...]
    paused: tuple[str, ...]
    """Names of paused functions and targets."""
    bytes: int
    log_bytes: int
    free_bytes: int
    """Free space of the file system."""
    sqlite: str
    sync: str | None
    fault: str | None
    """Error of the store, if it cannot be used."""
    warning: str | None
    is_lost: bool = False
    """True if the directory of the store was removed or replaced while the server ran."""
    left_tasks: int = 0
    """Number of tasks in the store that the server would have without `--spooler`. The server does not run them."""


@dataclass(frozen=True, slots=True)
class TriggerState:
    """A timer, cron rule or file monitor."""

    name: str
    kind: Literal["timer", "cron", "file"]
    schedule: str
    """Its rule for people: `every 5 s`, `0 3 * * *`, a path."""
    num: int
    target: str
    fired: int
    missed: int
    last: float | None
    """Time of its last run."""
    next: float | None
    last_missed: float | None
    """Time of the last run that was missed, if no later one has run since."""
    late: float | None
    """Seconds for which a due run has waited until now."""
    fault: str | None
    """Reason for which its path cannot be watched."""


@dataclass(frozen=True, slots=True)
class HostState:
    """A machine on which the server runs."""

    name: str
    cpus: int
    load: float
    """Load average of one minute."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server."""

    name: str
    app: str
    version: str
    """Version of heliograph."""
    python: str
    pid: int
    started_at: float
    looked_at: float
    """Time of this state."""
    generation: int
    is_loading: bool
    is_ready: bool
    is_stopping: bool
    reload_failure: str | None
    """Reason for which the newest code was not loaded, until a later reload succeeds."""
    problems: tuple[Problem, ...]
    """Worst first. Empty: the server is well."""
    processes: tuple[ProcessState, ...]
    queues: tuple[QueueState, ...]
    signals: tuple[SignalState, ...]
    rejected: int
    """Number of sends that failed because a queue stayed full."""
    rejected_at: float | None
    triggers: tuple[TriggerState, ...]
    store: StoreState | None
    """None: no task was ever stored."""
    hosts: tuple[HostState, ...] = field(default=())
    loaded_at: float | None = None
    """Time at which the code of `generation` was loaded."""
    reload_failed_at: float | None = None
    graceful_timeout: float = 30.0
    """Seconds that a process has to finish its handler when it is replaced."""
