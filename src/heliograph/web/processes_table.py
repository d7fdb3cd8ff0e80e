"""The table of processes."""

from __future__ import annotations

from functools import partial
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
_BAD = {"missing", "killed"}
_PROGRAMS = {"command", "webserver", "web server"}


def processes(state: ServerState) -> Table:
    """Return the table. Processes that a problem names come first."""
    unwell = {problem.subject for problem in state.problems}
    bad = {process.name: process.name in unwell or process.status in _BAD for process in state.processes}
    found = sorted(state.processes, key=lambda process: (process.name not in unwell, not bad[process.name]))
    rows = [
        Row(process.name, (process, bad[process.name]), partial(_row, process, state, is_bad=bad[process.name]))
        for process in found
    ]
    return Table(ID, "Processes", _COLUMNS, rows, "No process runs.", "heliograph status lists all.")


def _row(process: ProcessState, state: ServerState, *, is_bad: bool) -> Markup:
    now = state.looked_at
    cells = (
        lines(process.name, element("small", f"pid {process.pid}") if process.pid else None),
        _state(process, now),
        lines(*(_running(running, now) for running in process.running)) or formats.NONE,
        _restarts(process, now),
        formats.size(process.memory),
        formats.count(process.handled),
        formats.count(process.queued),
        stack_link(process) or formats.NONE,
    )
    return row(ID, process.name, _COLUMNS, cells, class_="bad" if is_bad else "")


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


def _restarts(process: ProcessState, now: float) -> str:
    number = formats.count(process.restarts)
    if process.last_exit is None:
        return number
    why = element("small", process.last_exit.reason, " ", formats.age(process.last_exit.at, now), " ago")
    early = (
        None
        if process.early_exits < 2
        else element("small", f"{process.early_exits} early exits in a row", class_="critical")
    )
    return lines(number, why, early)


def stack_link(process: ProcessState, text: str = "Stack") -> Markup | None:
    """Return a link to the stack of a process. None: it does not run, or is a program of its own."""
    if process.pid is None or process.status not in _UP or process.role in _PROGRAMS:
        return None
    path = f"stack/{quote(process.name.encode(errors='replace'), safe='')}"
    return element(
        "a", text, href=path, class_="stack", data_process=process.name, aria_label=f"Stack of {process.name}"
    )
