"""The table of the functions that run as tasks, and the lists of single tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from heliograph.insights.model import ServerState, TaskState
from heliograph.web import formats
from heliograph.web.markup import Markup, element, join
from heliograph.web.signals_table import percentiles
from heliograph.web.tables import Column, Row, Table, lines, row
from heliograph.web.task_lists import MAX_LISTED, ListedTask, TaskLists

ID = "tasks"
_COLUMNS = (
    Column("Function"),
    Column("Waiting", is_number=True),
    Column("Running", is_number=True),
    Column("Failed", is_number=True),
    Column("Dead", is_number=True),
    Column("Done", is_number=True),
    Column("Wait p50 / p95 / p99", is_number=True),
    Column("Run p50 / p95 / p99", is_number=True),
)


def tasks(state: ServerState, *, can_change: bool = False) -> Table:
    """Return the table. Functions that a problem names come first, then those with dead, failed and waiting tasks."""
    unwell = {problem.subject for problem in state.problems}
    known = () if state.store is None else state.store.tasks
    found = sorted(
        known,
        key=lambda task: (task.name not in unwell, *(-task.counts.get(key, 0) for key in ("DEAD", "FAILED", "READY"))),
    )
    rows = [
        Row(
            f"{task.name} {task.target}",
            (task, task.name in unwell),
            partial(_row, task, is_bad=task.name in unwell, can_change=can_change),
        )
        for task in found
    ]
    return Table(ID, "Tasks", _COLUMNS, rows, "No task was stored.", "heliograph tasks --summary lists all.")


def _row(task: TaskState, *, is_bad: bool, can_change: bool) -> Markup:
    held = None if task.held_back is None else f"held back by its {task.held_back}"
    notes = [note for note in ("paused" if task.is_paused else None, held) if note]
    name = lines(
        element("code", task.name),
        element("small", f"target {task.target}"),
        element("span", ", ".join(notes), class_="warning") if notes else None,
        None if task.is_known else element("span", "the server does not have this function", class_="critical"),
    )
    counts = task.counts
    cells = (
        name,
        formats.count(counts.get("READY", 0)),
        formats.count(counts.get("RUNNING", 0)),
        lines(_bad(counts.get("FAILED", 0)), _retry_all(task) if can_change else None),
        _bad(counts.get("DEAD", 0)),
        formats.count(counts.get("SUCCESSFUL", 0)),
        percentiles(task.waited),
        percentiles(task.ran),
    )
    return row(ID, f"{task.name} {task.target}", _COLUMNS, cells, class_="bad" if is_bad else "")


def _retry_all(task: TaskState) -> Markup | None:
    """Return a button for all failed tasks of a function, None if there are none."""
    if not (number := task.counts.get("FAILED", 0)):
        return None
    label = f"Retry all {number} failed tasks of {task.name}"
    return element(
        "button", "Retry all", type="button", data_action="retry-failed", data_name=task.name, aria_label=label
    )


def _bad(number: int) -> Markup:
    return element("span", formats.count(number), class_="critical" if number else None)


def task_lists(lists: TaskLists, now: float, *, can_change: bool) -> Markup:
    """Return the lists of failed, running and waiting tasks. `can_change`: with buttons."""
    return join(
        _list("Failed tasks", lists.failed, now, _Actions("retry" if can_change else "", "failed"), is_open=True),
        _list("Running tasks", lists.running, now, _Actions("", "running"), is_open=True),
        _list("Waiting tasks", lists.waiting, now, _Actions("cancel" if can_change else "", "waiting"), is_open=False),
    )


class _Actions:
    """The button of the tasks in a list, and the id of the list."""

    def __init__(self, action: str, kind: str) -> None:
        self.action, self.kind = action, kind

    def button(self, task: ListedTask) -> Markup | None:
        """Return the button, None if there is none."""
        if not self.action:
            return None
        label = f"{self.action.capitalize()} task {task.id}"
        title = self.action.capitalize()
        return element("button", title, type="button", data_action=self.action, data_task=task.id, aria_label=label)


def _list(title: str, found: Sequence[ListedTask], now: float, actions: _Actions, *, is_open: bool) -> Markup | None:
    if not found:
        return None
    number = f"the newest {MAX_LISTED}" if len(found) >= MAX_LISTED else str(len(found))
    return element(
        "details",
        element("summary", element("h3", f"{title} ({number})")),
        element("ul", *(_task(task, now, actions) for task in found), class_="tasks"),
        id=f"tasks-{actions.kind}",
        open=is_open,
    )


def _task(task: ListedTask, now: float, actions: _Actions) -> Markup:
    status = element("span", task.status.lower(), class_="critical" if task.status in {"FAILED", "DEAD"} else "plain")
    attempts = f"{task.attempts} attempt{'s' * (task.attempts != 1)}"
    at = (
        formats.until(task.at, now)
        if task.status == "READY" and task.at > now
        else join(formats.age(task.at, now), " ago")
    )
    facts = element("small", at, ", ", attempts, f", {task.worker}" if task.worker else "")
    head = element("div", status, " ", element("code", task.name), " ", facts, actions.button(task), class_="head")
    return element("li", head, _error(task), id=f"task-{task.id}")


def _error(task: ListedTask) -> Markup | None:
    if not task.error and not task.traceback:
        return None
    last = task.traceback.rstrip().rpartition("\n")[2] or task.error
    return element(
        "details",
        element("summary", element("code", last)),
        element("pre", task.traceback, tabindex="0"),
        id=f"error-{task.id}",
    )
