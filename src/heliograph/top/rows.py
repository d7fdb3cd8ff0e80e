"""The rows of the five views and their columns: values of the read model as texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from heliograph._core.units import duration, latency, short_number, size
from heliograph.insights.model import (
    Problem,
    ProcessState,
    Running,
    Severity,
    SignalState,
    TaskState,
    TriggerState,
)
from heliograph.top.columns import Column, number, words
from heliograph.top.rates import Look

T = TypeVar("T")

MARKS: Mapping[Severity, str] = {"critical": "!!", "warning": "!"}
STYLES: Mapping[Severity, str] = {"critical": "bold red", "warning": "yellow"}


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """A row: a value of the read model, and what columns need besides."""

    key: str
    """Identifies the row in the next look."""
    item: T
    look: Look
    severity: Severity | None = None
    """The worst problem that has this thing as its subject."""


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """A table of one kind of things."""

    name: str
    title: str
    one: Callable[[T], str]
    """Returns the title of the details of one of them."""
    columns: Sequence[Column[Row[T]]]
    rows: Callable[[Look], list[Row[T]]]
    empty: str
    """Text that is shown if there is none."""


def age(row: Row[Any], moment: float | None) -> float | None:
    """Return the seconds since a moment, at the time of the look."""
    return None if moment is None else max(0.0, row.look.state.looked_at - moment)


def running_text(running: Sequence[Running], now: float) -> str:
    """Return what a process runs, and for how long: `12s send_mail`, without the module, which the details have."""
    if not running:
        return ""
    first = min(running, key=lambda run: run.since)
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    late = " OVERDUE" if first.is_overdue else ""
    return f"{duration(now - first.since)}{late} {_short(first)}{more}"


def _short(run: Running) -> str:
    return run.handler.rpartition(":")[2] or run.name


def signal_name(signal: SignalState) -> str:
    """Return the name of a signal, or its number."""
    return signal.name or str(signal.num)


def held_text(task: TaskState, paused: Sequence[str]) -> str:
    """Return the reason for which tasks of a function do not begin."""
    reasons = [
        "paused" if task.is_paused or task.name in paused else "",
        f"{task.target} paused" if task.target in paused else "",
        "" if task.is_known else "unknown function",
        f"{task.held_back} reached" if task.held_back else "",
    ]
    return ", ".join(filter(None, reasons))


def _severities(look: Look) -> dict[str, Severity]:
    """Return subject -> severity of its worst problem. Problems come worst first."""
    found: dict[str, Severity] = {}
    for problem in look.state.problems:
        found.setdefault(problem.subject, problem.severity)
    return found


def _worst(severities: Mapping[str, Severity], *subjects: str) -> Severity | None:
    found = [severities[subject] for subject in subjects if subject in severities]
    return "critical" if "critical" in found else "warning" if found else None


def _rows_of_processes(look: Look) -> list[Row[ProcessState]]:
    known = _severities(look)
    return [Row(one.name, one, look, _worst(known, one.name)) for one in look.state.processes]


def _rows_of_signals(look: Look) -> list[Row[SignalState]]:
    known = _severities(look)
    return [
        Row(str(one.num), one, look, _worst(known, *filter(None, (one.name, f"{one.num}", f"signal {one.num}"))))
        for one in look.state.signals
    ]


def _rows_of_tasks(look: Look) -> list[Row[TaskState]]:
    known = _severities(look)
    tasks = look.state.store.tasks if look.state.store is not None else ()
    return [Row(f"{one.name} {one.target}", one, look, _worst(known, one.name)) for one in tasks]


def _rows_of_triggers(look: Look) -> list[Row[TriggerState]]:
    known = _severities(look)
    return [Row(one.name, one, look, _worst(known, one.name, one.schedule)) for one in look.state.triggers]


def _rows_of_problems(look: Look) -> list[Row[Problem]]:
    return [Row(f"{one.code} {one.subject}", one, look, one.severity) for one in look.state.problems]


def _mark() -> Column[Row[Any]]:
    return Column(
        "",
        2,
        lambda row: MARKS[row.severity] if row.severity else "",
        lambda row: {"critical": 2.0, "warning": 1.0}[row.severity] if row.severity else None,
        style=lambda row: STYLES[row.severity] if row.severity else "",
    )


def _by_status(status: str) -> Callable[[Row[TaskState]], float]:
    return lambda row: row.item.counts.get(status, 0)


def _bad_if_any(value: Callable[[Row[T]], float | None]) -> Callable[[Row[T]], str]:
    return lambda row: "red" if value(row) else ""


def _failed_tasks(row: Row[TaskState]) -> float:
    return row.item.counts.get("FAILED", 0)


def _dead_tasks(row: Row[TaskState]) -> float:
    return row.item.counts.get("DEAD", 0)


def _text_of_next(row: Row[TriggerState]) -> str:
    if row.item.next is None:
        return "-"
    left = row.item.next - row.look.state.looked_at
    return f"in {duration(left)}" if left > 0 else "now"


PROCESSES: View[ProcessState] = View(
    "processes",
    "Processes",
    lambda one: f"Process {one.name}",
    (
        _mark(),
        words("NAME", 10, lambda row: row.item.name),
        words(
            "STATUS", 8, lambda row: row.item.status, style=lambda row: "" if row.item.status == "running" else "yellow"
        ),
        number("PID", 7, lambda row: row.item.pid, str, 3),
        number("UP", 5, lambda row: age(row, row.item.since), duration, 1),
        number("RUN/S", 5, lambda row: row.look.rate("handled", row.item.name), short_number, 1),
        number("QUEUED", 6, lambda row: row.item.queued, short_number),
        number("MEMORY", 9, lambda row: row.item.memory, size, 2),
        number("STARTS", 6, lambda row: row.item.restarts + 1, short_number, 2),
        number("GEN", 3, lambda row: row.item.generation, short_number, 5),
        words(
            "RUNS NOW",
            14,
            lambda row: running_text(row.item.running, row.look.state.looked_at),
            style=lambda row: "bold red" if any(run.is_overdue for run in row.item.running) else "",
        ),
        number("HANDLED", 7, lambda row: row.item.handled, short_number, 6),
        words("LAST EXIT", 20, lambda row: row.item.last_exit.reason if row.item.last_exit else "", 7),
    ),
    _rows_of_processes,
    "The server has no processes.",
)

SIGNALS: View[SignalState] = View(
    "signals",
    "Signals",
    lambda one: f"Signal {signal_name(one)}",
    (
        _mark(),
        words("SIGNAL", 14, lambda row: signal_name(row.item)),
        words("TARGET", 8, lambda row: row.item.target, 2),
        words("HANDLER", 14, lambda row: row.item.handler, keeps_end=True),
        number("SENT/S", 6, lambda row: row.look.rate("sent", str(row.item.num)), short_number, 1),
        number("DONE/S", 6, lambda row: row.look.rate("done", str(row.item.num)), short_number),
        number("FAILED", 6, lambda row: row.item.failed, short_number, style=_bad_if_any(lambda row: row.item.failed)),
        number("QUEUED", 6, lambda row: row.item.queued, short_number),
        number("WAIT95", 6, lambda row: row.item.waited.p95, latency),
        number("RUN95", 6, lambda row: row.item.ran.p95, latency),
        number("SENT", 5, lambda row: row.item.sent, short_number, 3),
        number("DONE", 5, lambda row: row.item.done, short_number, 3),
        number("RUN99", 6, lambda row: row.item.ran.p99, latency, 5),
        number("COALESCED", 9, lambda row: row.item.coalesced, short_number, 5),
        number("REDELIVERED", 11, lambda row: row.item.redelivered, short_number, 6),
        number("DROPPED", 7, lambda row: row.item.dropped, short_number, 4, _bad_if_any(lambda row: row.item.dropped)),
    ),
    _rows_of_signals,
    "No handler is registered.",
)

TASKS: View[TaskState] = View(
    "tasks",
    "Tasks",
    lambda one: f"Task {one.name}",
    (
        _mark(),
        words("TASK", 16, lambda row: row.item.name, keeps_end=True),
        words("TARGET", 7, lambda row: row.item.target, 1),
        number("READY", 5, _by_status("READY"), short_number),
        number("RUNNING", 7, _by_status("RUNNING"), short_number),
        number("FAILED", 6, _failed_tasks, short_number, style=_bad_if_any(_failed_tasks)),
        number("DEAD", 4, _dead_tasks, short_number, style=_bad_if_any(_dead_tasks)),
        number("RUN/S", 5, lambda row: row.look.rate("ran", row.item.name), short_number, 1),
        number("RUN95", 6, lambda row: row.item.ran.p95, latency, 2),
        number("WAIT95", 6, lambda row: row.item.waited.p95, latency, 3),
        number("SUCCESSFUL", 10, _by_status("SUCCESSFUL"), short_number, 4),
        number("CANCELLED", 9, _by_status("CANCELLED"), short_number, 5),
        number("EXPIRED", 7, _by_status("EXPIRED"), short_number, 5),
        words(
            "NOTE",
            8,
            lambda row: held_text(row.item, row.look.state.store.paused if row.look.state.store else ()),
            style=lambda _: "yellow",
        ),
    ),
    _rows_of_tasks,
    "No task was ever stored.",
)

TRIGGERS: View[TriggerState] = View(
    "triggers",
    "Triggers",
    lambda one: f"Trigger {one.name}",
    (
        _mark(),
        words("NAME", 12, lambda row: row.item.name),
        words("RULE", 16, lambda row: row.item.schedule, keeps_end=True),
        number("SIGNAL", 6, lambda row: row.item.num, str, 2),
        Column("NEXT", 8, _text_of_next, lambda row: None if row.item.next is None else -row.item.next),
        number("LAST AGO", 8, lambda row: age(row, row.item.last), duration),
        number("FIRED", 5, lambda row: row.item.fired, short_number),
        number("MISSED", 6, lambda row: row.item.missed, short_number, style=_bad_if_any(lambda row: row.item.missed)),
        number("LATE", 5, lambda row: row.item.late, duration, 1, _bad_if_any(lambda row: row.item.late)),
        words("TARGET", 7, lambda row: row.item.target, 3),
        words("FAULT", 8, lambda row: row.item.fault or "", 1, style=lambda _: "bold red"),
    ),
    _rows_of_triggers,
    "The application has no timers, cron rules or file monitors.",
)

PROBLEMS: View[Problem] = View(
    "problems",
    "Problems",
    lambda one: f"Problem of {one.subject}",
    (
        words("SEVERITY", 8, lambda row: row.item.severity, style=lambda row: STYLES[row.item.severity]),
        words("SUBJECT", 12, lambda row: row.item.subject, keeps_end=True),
        number("SINCE", 5, lambda row: age(row, row.item.since), duration),
        words("PROBLEM", 40, lambda row: row.item.text),
        words("WHAT TO DO", 30, lambda row: row.item.advice, 1),
    ),
    _rows_of_problems,
    "The server is well.",
)

VIEWS: tuple[View[Any], ...] = (PROCESSES, SIGNALS, TASKS, TRIGGERS, PROBLEMS)
