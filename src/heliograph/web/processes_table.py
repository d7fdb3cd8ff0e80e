"""The table of processes."""

from __future__ import annotations

from urllib.parse import quote

from heliograph.insights.model import ProcessState, Running, ServerState
from heliograph.web import formats
from heliograph.web.markup import Markup, element, join
from heliograph.web.tables import Column, Row, Table, lines, row

ID = "processes"
_COLUMNS = (
    Column("Process"),
    Column("State"),
    Column("Runs now"),
    Column("Restarts", is_number=True),
    Column("Memory", is_number=True),
    Column("Handled", is_number=True),
    Column("Queued", is_number=True),
    Column("Stack"),
)
_UP = {"running", "starting", "stopping"}


def processes(state: ServerState) -> Table:
    """Return the table. Processes that a problem names come first."""
    unwell = {problem.subject for problem in state.problems}
    found = sorted(state.processes, key=lambda process: (process.name not in unwell, not _is_late(process)))
    rows = [
        Row(process.name, (process, process.name in unwell), lambda process=process: _row(process, state, unwell))
        for process in found
    ]
    return Table(ID, "Processes", _COLUMNS, rows, "No process runs.", "heliograph status lists all.")


def _is_late(process: ProcessState) -> bool:
    return any(running.is_overdue for running in process.running)


def _row(process: ProcessState, state: ServerState, unwell: set[str]) -> Markup:
    now = state.looked_at
    cells = (
        lines(process.name, element("small", f"pid {process.pid}") if process.pid else None),
        _state(process, now),
        lines(*(_running(running, now) for running in process.running)) or formats.NONE,
        _restarts(process, now),
        formats.size(process.memory),
        formats.count(process.handled),
        formats.count(process.queued),
        _stack(process),
    )
    return row(ID, process.name, _COLUMNS, cells, class_="bad" if process.name in unwell else "")


def _state(process: ProcessState, now: float) -> Markup:
    is_up = process.status in _UP
    mark = element("span", process.status, class_="well" if is_up else "critical")
    if process.since is None:
        return mark
    generation = "" if process.generation is None else f", code {process.generation}"
    return lines(mark, element("small", "for ", formats.age(process.since, now), generation))


def _running(running: Running, now: float) -> Markup:
    kind = "signal" if running.kind == "signal" else "task"
    late = element("span", "overdue", class_="critical") if running.is_overdue else None
    what = element("code", running.handler)
    name = f"{kind} {running.name}" if running.name != running.handler else kind
    return join(what, " ", element("small", name, " for ", formats.age(running.since, now)), " ", late)


def _restarts(process: ProcessState, now: float) -> Markup:
    number = formats.count(process.restarts)
    if process.last_exit is None:
        return lines(number)
    why = element("small", process.last_exit.reason, " ", formats.age(process.last_exit.at, now), " ago")
    early = None if process.early_exits < 2 else element("small", f"{process.early_exits} early exits in a row", class_="critical")
    return lines(number, why, early)


def _stack(process: ProcessState) -> object:
    if process.pid is None or process.status not in _UP:
        return formats.NONE
    path = f"stack/{quote(process.name.encode(errors='replace'), safe='')}"
    return element("a", "Stack", href=path, class_="stack", data_process=process.name, aria_label=f"Stack of {process.name}")
