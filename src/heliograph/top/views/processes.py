"""The view of the processes."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph._core.units import duration, short_number, size
from heliograph.insights.model import ProcessState, Running
from heliograph.top.columns import number, words
from heliograph.top.rates import Look
from heliograph.top.views.lines import Line, fact, moment, problem_notes, rate_text
from heliograph.top.views.row import Row, View, age, mark, severities, worst


def running_text(running: Sequence[Running], now: float) -> str:
    """Return what a process runs, and for how long: `12s send_mail`, without the module, which the details have."""
    if not running:
        return ""
    first = min(running, key=lambda run: run.since)
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    late = " OVERDUE" if first.is_overdue else ""
    return f"{duration(now - first.since)}{late} {_short(first)}{more}"


def _short(run: Running) -> str:
    return run.handler.replace(":", ".").rpartition(".")[2] or run.name


def _rows_of_processes(look: Look) -> list[Row[ProcessState]]:
    known = severities(look)
    return [Row(one.name, one, look, worst(known, one.name)) for one in look.state.processes]


def process_lines(row: Row[ProcessState], _width: int) -> list[Line]:
    """Return the facts of a process."""
    one = row.item
    up = age(row, one.since)
    lines = [
        *problem_notes(row, one.name),
        fact("status", f"{one.status}" + (f" for {duration(up)}" if up is not None else "")),
        fact("pid", "-" if one.pid is None else str(one.pid)),
        fact("role", one.role),
        *_running_lines(row),
        fact("handled", f"{one.handled}{rate_text(row, 'handled', one.name)}"),
        fact("queued", str(one.queued)),
        fact("memory", "not known" if one.memory is None else f"{size(one.memory)} (PSS)"),
        fact("generation", "-" if one.generation is None else str(one.generation)),
        fact("starts", f"{one.restarts + 1}" + (f", {one.early_exits} early exits" if one.early_exits else "")),
    ]
    if one.last_exit is not None:
        last = one.last_exit
        expected = "" if last.was_expected else ", unexpected"
        lines.append(fact("last exit", f"{last.reason} (process {last.pid}, {moment(last.at)}{expected})"))
    return lines


def _running_lines(row: Row[ProcessState]) -> list[Line]:
    lines: list[Line] = []
    for run in row.item.running:
        label = "runs now" if not lines else ""
        late = ", OVERDUE" if run.is_overdue else ""
        task_id = f" {run.id}" if run.id else ""
        seconds = duration(row.look.state.looked_at - run.since)
        text = f"{run.handler or run.name} ({run.kind} {run.name}{task_id}) for {seconds}{late}"
        lines.append(Line(fact(label, text).text, "bold red" if run.is_overdue else ""))
    return lines or [fact("runs now", "nothing")]


PROCESSES: View[ProcessState] = View(
    "processes",
    "Processes",
    lambda one: f"Process {one.name}",
    (
        mark(),
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
    process_lines,
    "The server has no processes.",
)
