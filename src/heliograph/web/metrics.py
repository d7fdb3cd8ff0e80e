"""The table of metrics, made from the read model. docs/reference/metrics.md is written from it.

Names follow Prometheus' conventions: base units, `_total` for counters. A metric belongs to a group of things that have
the same labels, such as processes or signals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from heliograph.insights.model import Problem, ProcessState, ServerState, StoreState, TaskState

Type = Literal["counter", "gauge", "histogram", "info"]
COUNTER: Type = "counter"
LEVEL: Type = "gauge"
HISTOGRAM: Type = "histogram"
INFO: Type = "info"
Value = Any
"""A number, a `Distribution`, a mapping of the values of a further label to numbers, or None for nothing."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table."""

    name: str
    """Without `_total` and `_info`."""
    type: Type
    help: str
    value: Callable[[Any], Value]
    by: str = ""
    """A further label, whose values `value` has."""


@dataclass(frozen=True, slots=True)
class Group:
    """The metrics of one kind of things."""

    things: Callable[[ServerState], Iterable[Any]]
    labels: Callable[[Any], Mapping[str, str]]
    label_names: tuple[str, ...]
    metrics: tuple[Metric, ...]


def _server(state: ServerState) -> Iterable[ServerState]:
    return (state,)


def _process_up(process: ProcessState) -> int:
    return int(process.status in {"running", "starting", "stopping"})


def _running_seconds(state: ServerState) -> Mapping[str, float]:
    """Return for how long each process has run its oldest handler or task."""
    return {
        process.name: max(state.looked_at - min(running.since for running in process.running), 0.0)
        for process in state.processes
        if process.running
    }


def _overdue(state: ServerState) -> Mapping[str, int]:
    return {
        process.name: sum(running.is_overdue for running in process.running)
        for process in state.processes
        if process.running
    }


def _by_status(task: TaskState) -> Mapping[str, int]:
    """Return the numbers that are not 0, and always those that wait and that need a person."""
    shown = {"READY": 0, "FAILED": 0, "DEAD": 0} | {status: number for status, number in task.counts.items() if number}
    return {status.lower(): number for status, number in shown.items()}


_SERVER = Group(
    _server,
    lambda _: {},
    (),
    (
        Metric(
            "heliograph_ready", LEVEL, "1 if all processes run and the server takes work.", lambda s: int(s.is_ready)
        ),
        Metric("heliograph_stopping", LEVEL, "1 if the server was told to stop.", lambda s: int(s.is_stopping)),
        Metric("heliograph_loading", LEVEL, "1 while the application is loaded.", lambda s: int(s.is_loading)),
        Metric(
            "heliograph_reload_failed",
            LEVEL,
            "1 if the newest code did not load and the old code runs on.",
            lambda s: int(s.reload_failure is not None),
        ),
        Metric("heliograph_generation", LEVEL, "Generation of the code. A reload adds 1.", lambda s: s.generation),
        Metric(
            "heliograph_start_time_seconds", LEVEL, "Time of the start, in seconds since 1970.", lambda s: s.started_at
        ),
        Metric(
            "heliograph_signals_rejected",
            COUNTER,
            "Sends that failed because a queue stayed full.",
            lambda s: s.rejected,
        ),
        Metric(
            "heliograph_process_running_seconds",
            LEVEL,
            "Time for which a process has run its oldest handler or task. Processes that run none are left out.",
            _running_seconds,
            "process",
        ),
        Metric(
            "heliograph_process_overdue",
            LEVEL,
            "Handlers and tasks of a process that run longer than they should.",
            _overdue,
            "process",
        ),
    ),
)

_INFO = Group(
    _server,
    lambda s: {"name": s.name, "app": s.app, "version": s.version, "python": s.python},
    ("name", "app", "version", "python"),
    (Metric("heliograph_server", INFO, "Name, application and versions of the server.", lambda _: 1),),
)

_PROBLEMS = Group(
    lambda s: unique_problems(s.problems),
    lambda p: {"code": p.code, "subject": p.subject, "severity": p.severity},
    ("code", "subject", "severity"),
    (
        Metric(
            "heliograph_problem",
            LEVEL,
            "1 for each thing that is unwell. There is no such line for a healthy server.",
            lambda _: 1,
        ),
    ),
)

_PROCESSES = Group(
    lambda s: s.processes,
    lambda p: {"process": p.name, "role": p.role},
    ("process", "role"),
    (
        Metric("heliograph_process_up", LEVEL, "1 if the process exists.", _process_up),
        Metric(
            "heliograph_process_start_time_seconds",
            LEVEL,
            "Start of the present process, in seconds since 1970.",
            lambda p: p.since,
        ),
        Metric(
            "heliograph_process_generation",
            LEVEL,
            "Generation of the code that the process runs.",
            lambda p: p.generation,
        ),
        Metric("heliograph_process_restarts", COUNTER, "Starts after the first one.", lambda p: p.restarts),
        Metric(
            "heliograph_process_memory_bytes",
            LEVEL,
            "Proportional set size (PSS): shared memory is divided by the number of processes that share it.",
            lambda p: p.memory,
        ),
        Metric(
            "heliograph_process_signals_handled",
            COUNTER,
            "Signals that the process and its predecessors handled.",
            lambda p: p.handled,
        ),
    ),
)

_QUEUES = Group(
    lambda s: s.queues,
    lambda q: {"queue": q.name},
    ("queue",),
    (
        Metric("heliograph_queue_signals", LEVEL, "Signals in the queue.", lambda q: q.queued),
        Metric("heliograph_queue_capacity", LEVEL, "Signals that the queue can hold.", lambda q: q.capacity),
    ),
)

_SIGNALS = Group(
    lambda s: s.signals,
    lambda s: {"signal": s.name or str(s.num), "target": s.target},
    ("signal", "target"),
    (
        Metric("heliograph_signal_sent", COUNTER, "Signals that were sent.", lambda s: s.sent),
        Metric("heliograph_signal_handled", COUNTER, "Signals whose handler has ended.", lambda s: s.done),
        Metric("heliograph_signal_failed", COUNTER, "Signals whose handler raised an exception.", lambda s: s.failed),
        Metric(
            "heliograph_signal_redelivered",
            COUNTER,
            "Signals that were sent again after their process exited.",
            lambda s: s.redelivered,
        ),
        Metric("heliograph_signal_dropped", COUNTER, "Signals that were lost with their process.", lambda s: s.dropped),
        Metric(
            "heliograph_signal_coalesced",
            COUNTER,
            "Signals for which the handler ran together with another one.",
            lambda s: s.coalesced,
        ),
        Metric("heliograph_signal_queued", LEVEL, "Signals that no handler has started for.", lambda s: s.queued),
        Metric(
            "heliograph_signal_wait_seconds",
            HISTOGRAM,
            "Time from send() to the start of the handler.",
            lambda s: s.waited,
        ),
        Metric("heliograph_signal_run_seconds", HISTOGRAM, "Time that the handler took.", lambda s: s.ran),
    ),
)

_TASKS = Group(
    lambda s: unique_tasks(s.store),
    lambda t: {"task": t.name, "target": t.target},
    ("task", "target"),
    (
        Metric("heliograph_tasks", LEVEL, "Tasks in the store.", _by_status, "status"),
        Metric("heliograph_task_paused", LEVEL, "1 if the function is paused.", lambda t: int(t.is_paused) or None),
        Metric(
            "heliograph_task_unknown",
            LEVEL,
            "1 if the code of the server does not have the function.",
            lambda t: int(not t.is_known) or None,
        ),
        Metric(
            "heliograph_task_wait_seconds",
            HISTOGRAM,
            "Time that an attempt waited since it could begin.",
            lambda t: t.waited,
        ),
        Metric("heliograph_task_run_seconds", HISTOGRAM, "Time that an attempt took.", lambda t: t.ran),
    ),
)

_TRIGGERS = Group(
    lambda s: s.triggers,
    lambda t: {"trigger": t.name, "kind": t.kind},
    ("trigger", "kind"),
    (
        Metric("heliograph_trigger_fired", COUNTER, "Runs of the trigger.", lambda t: t.fired),
        Metric("heliograph_trigger_missed", COUNTER, "Runs that were missed.", lambda t: t.missed),
        Metric(
            "heliograph_trigger_last_run_timestamp_seconds", LEVEL, "Last run, in seconds since 1970.", lambda t: t.last
        ),
        Metric(
            "heliograph_trigger_next_run_timestamp_seconds", LEVEL, "Next run, in seconds since 1970.", lambda t: t.next
        ),
        Metric(
            "heliograph_trigger_late_seconds",
            LEVEL,
            "Time for which a due run has waited. 0: none waits.",
            lambda t: t.late or 0,
        ),
        Metric(
            "heliograph_trigger_failed",
            LEVEL,
            "1 if the path of a file monitor cannot be watched.",
            lambda t: int(t.fault is not None),
        ),
    ),
)

_STORE = Group(
    lambda s: () if s.store is None else (s.store,),
    lambda _: {},
    (),
    (
        Metric("heliograph_store_bytes", LEVEL, "Size of the database of the tasks.", lambda s: s.bytes),
        Metric("heliograph_store_log_bytes", LEVEL, "Size of its write-ahead log.", lambda s: s.log_bytes),
        Metric("heliograph_store_free_bytes", LEVEL, "Free space of its file system.", lambda s: s.free_bytes),
        Metric("heliograph_store_usable", LEVEL, "0 if the store cannot be used.", lambda s: int(s.fault is None)),
    ),
)

_HOSTS = Group(
    lambda s: s.hosts,
    lambda h: {"host": h.name},
    ("host",),
    (
        Metric("heliograph_host_cpus", LEVEL, "Processors of the machine.", lambda h: h.cpus),
        Metric("heliograph_host_load1", LEVEL, "Load average of one minute.", lambda h: h.load),
    ),
)

UP = Metric("heliograph_up", LEVEL, "1 if the server answers. 0: all other metrics are missing.", lambda _: 1)
GROUPS = (_INFO, _SERVER, _PROBLEMS, _PROCESSES, _QUEUES, _SIGNALS, _TASKS, _TRIGGERS, _STORE, _HOSTS)


def unique_problems(problems: Iterable[Problem]) -> Iterable[Problem]:
    """Return the problems without those that have the same labels as an earlier one."""
    return {(problem.code, problem.subject, problem.severity): problem for problem in problems}.values()


def unique_tasks(store: StoreState | None) -> Iterable[TaskState]:
    """Return the functions, one for each pair of labels."""
    return () if store is None else {(task.name, task.target): task for task in store.tasks}.values()
