"""The view of the functions that run as tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from heliograph._core.texts import printable
from heliograph._core.units import latency, short_number
from heliograph.insights.model import TaskState
from heliograph.top.columns import number, words
from heliograph.top.rates import Look
from heliograph.top.views.histogram import percentiles
from heliograph.top.views.lines import Line, fact, problem_notes, rate_text
from heliograph.top.views.row import Row, View, bad_if_any, mark, severities, worst


def held_text(task: TaskState, paused: Sequence[str]) -> str:
    """Return the reason for which tasks of a function do not begin."""
    reasons = [
        "paused" if task.name in paused else "target paused" if task.is_paused else "",
        "" if task.is_known else "unknown function",
        f"{task.held_back} reached" if task.held_back else "",
    ]
    return ", ".join(filter(None, reasons))


def _rows_of_tasks(look: Look) -> list[Row[TaskState]]:
    known = severities(look)
    tasks = look.state.store.tasks if look.state.store is not None else ()
    return [Row(f"{one.name} {one.target}", one, look, worst(known, one.name)) for one in tasks]


def _by_status(status: str) -> Callable[[Row[TaskState]], float]:
    return lambda row: row.item.counts.get(status, 0)


def _failed_tasks(row: Row[TaskState]) -> float:
    return row.item.counts.get("FAILED", 0)


def _dead_tasks(row: Row[TaskState]) -> float:
    return row.item.counts.get("DEAD", 0)


def task_lines(row: Row[TaskState], _width: int) -> list[Line]:
    """Return the facts of a function that runs as a task, in few lines."""
    one = row.item
    counts = ", ".join(f"{count} {status}" for status, count in one.counts.items() if count) or "no tasks"
    store = row.look.state.store
    note = held_text(one, store.paused if store is not None else ())
    return [
        *problem_notes(row, one.name),
        fact("target", one.target),
        fact("tasks", counts),
        fact("run time", percentiles(one.ran) + rate_text(row, "ran", one.name)),
        fact("waited", percentiles(one.waited)),
        *([Line(fact("note", note).text, "yellow")] if note else []),
    ]


def task_error(facts: dict[str, Any]) -> str:
    """Return the tracebacks of a task, newest first, or its arguments if it has not failed."""
    errors: Sequence[dict[str, Any]] = facts["errors"]
    parts = [str(error.get("traceback") or error.get("type", "")).rstrip() for error in reversed(errors)]
    call = f"arguments: {facts['args']} {facts['kwargs']}"
    return printable("\n\n".join([call, *parts]))


TASKS: View[TaskState] = View(
    "tasks",
    "Tasks",
    lambda one: f"Task {one.name}",
    (
        mark(),
        words("TASK", 15, lambda row: row.item.name, keeps_end=True),
        words("TARGET", 7, lambda row: row.item.target, 1),
        number("READY", 5, _by_status("READY"), short_number),
        number("RUNNING", 7, _by_status("RUNNING"), short_number),
        number("FAILED", 6, _failed_tasks, short_number, style=bad_if_any(_failed_tasks)),
        number("DEAD", 4, _dead_tasks, short_number, style=bad_if_any(_dead_tasks)),
        number("RUN/S", 5, lambda row: row.look.rate("ran", row.item.name), short_number, 3),
        number("RUN95", 6, lambda row: row.item.ran.p95, latency, 2),
        number("WAIT95", 6, lambda row: row.item.waited.p95, latency, 3),
        number("SUCCESSFUL", 10, _by_status("SUCCESSFUL"), short_number, 4),
        number("CANCELLED", 9, _by_status("CANCELLED"), short_number, 5),
        number("EXPIRED", 7, _by_status("EXPIRED"), short_number, 5),
        words(
            "NOTE",
            13,
            lambda row: held_text(row.item, row.look.state.store.paused if row.look.state.store else ()),
            style=lambda _: "yellow",
        ),
    ),
    _rows_of_tasks,
    task_lines,
    "No task was ever stored.",
)
