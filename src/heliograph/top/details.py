"""The details of one process, signal, trigger or problem, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from heliograph._core.texts import printable
from heliograph._core.units import duration, latency, short_number, size
from heliograph.insights.model import Distribution, Problem, ProcessState, SignalState, TaskState, TriggerState
from heliograph.top.rows import MARKS, STYLES, Row, age, held_text

_LABEL = 14
_BLOCKS = " ▏▎▍▌▋▊▉█"
"""Eighths of a block."""


class Line(NamedTuple):
    """A line of text, and its style."""

    text: str
    style: str = ""


def process_lines(row: Row[ProcessState], _width: int) -> list[Line]:
    """Return the facts of a process."""
    one = row.item
    up = age(row, one.since)
    lines = [
        *_problem_lines(row, one.name),
        _fact("status", f"{one.status}" + (f" for {duration(up)}" if up is not None else "")),
        _fact("pid", "-" if one.pid is None else str(one.pid)),
        _fact("role", one.role),
        *_running_lines(row),
        _fact("handled", f"{one.handled}{_rate(row, 'handled', one.name)}"),
        _fact("queued", str(one.queued)),
        _fact("memory", "not known" if one.memory is None else f"{size(one.memory)} (PSS)"),
        _fact("generation", "-" if one.generation is None else str(one.generation)),
        _fact("starts", f"{one.restarts + 1}" + (f", {one.early_exits} early exits" if one.early_exits else "")),
    ]
    if one.last_exit is not None:
        last = one.last_exit
        expected = "" if last.was_expected else ", unexpected"
        lines.append(_fact("last exit", f"{last.reason} (process {last.pid}, {moment(last.at)}{expected})"))
    return lines


def signal_lines(row: Row[SignalState], width: int) -> list[Line]:
    """Return the facts of a signal, and histograms of its times."""
    one, key = row.item, str(row.item.num)
    return [
        *_problem_lines(row, one.name, key, f"signal {key}"),
        _fact("signal", f"{one.num} {one.name}".strip()),
        _fact("target", one.target),
        _fact("handler", one.handler),
        _fact("sent", f"{one.sent}{_rate(row, 'sent', key)}"),
        _fact("done", f"{one.done}{_rate(row, 'done', key)}"),
        Line(*_fact("failed", f"{one.failed}{_rate(row, 'failed', key)}")[:1], "red" if one.failed else ""),
        _fact("queued", str(one.queued)),
        _fact("coalesced", str(one.coalesced)),
        _fact("redelivered", f"{one.redelivered}, dropped {one.dropped}"),
        Line(""),
        *histogram_lines("Time from send() to the start of the handler", one.waited, width),
        Line(""),
        *histogram_lines("Time that the handler ran", one.ran, width),
    ]


def task_lines(row: Row[TaskState], _width: int) -> list[Line]:
    """Return the facts of a function that runs as a task, in few lines."""
    one = row.item
    counts = ", ".join(f"{count} {status}" for status, count in one.counts.items() if count) or "no tasks"
    store = row.look.state.store
    note = held_text(one, store.paused if store is not None else ())
    return [
        *_problem_lines(row, one.name),
        _fact("target", one.target),
        _fact("tasks", counts),
        _fact("run time", percentiles(one.ran) + _rate(row, "ran", one.name)),
        _fact("waited", percentiles(one.waited)),
        *([Line(_fact("note", note).text, "yellow")] if note else []),
    ]


def trigger_lines(row: Row[TriggerState], _width: int) -> list[Line]:
    """Return the facts of a trigger."""
    one = row.item
    return [
        *_problem_lines(row, one.name, one.schedule),
        _fact("kind", one.kind),
        _fact("rule", one.schedule),
        _fact("signal", f"{one.num} to {one.target}"),
        _fact("next", "-" if one.next is None else moment(one.next)),
        _fact("last", "-" if one.last is None else moment(one.last)),
        _fact("fired", f"{one.fired}{_rate(row, 'fired', one.name)}"),
        _fact("missed", f"{one.missed}" + (f", last {moment(one.last_missed)}" if one.last_missed else "")),
        *([Line(_fact("late", duration(one.late)).text, "red")] if one.late else []),
        *([Line(_fact("fault", one.fault).text, "bold red")] if one.fault else []),
    ]


def problem_lines(row: Row[Problem], _width: int) -> list[Line]:
    """Return a problem in full."""
    one = row.item
    return [
        Line(f"{one.severity}: {one.subject}", STYLES[one.severity]),
        Line(""),
        Line(printable(one.text)),
        Line(""),
        Line("What to do", "bold"),
        Line(printable(one.advice)),
        Line(""),
        _fact("code", one.code),
        *([_fact("since", f"{moment(one.since)} ({duration(age(row, one.since) or 0)})")] if one.since else []),
    ]


def histogram_lines(title: str, times: Distribution, width: int) -> list[Line]:
    """Return a histogram as bars. The longest fills the width."""
    lines = [Line(f"{title}: {percentiles(times)}", "bold")]
    if not times.buckets:
        return [*lines, Line("  no measurements so far")]
    most = max(count for _, count in times.buckets)
    space = max(4, width - 21)
    for bound, count in times.buckets:
        lines.append(Line(f"  <= {latency(bound):>7}  {short_number(count):>5}  {bar(count / most, space)}"))
    return lines


def percentiles(times: Distribution) -> str:
    """Return the percentiles of a distribution in a line."""
    if not times.count:
        return "-"
    known = (("p50", times.p50), ("p95", times.p95), ("p99", times.p99))
    found = [f"{name} {latency(value)}" for name, value in known if value is not None]
    return ", ".join([*found, f"mean {latency(times.total / times.count)}", f"{times.count} times"])


def bar(share: float, width: int) -> str:
    """Return a bar for a share from 0 to 1. A share above 0 is visible."""
    eighths = max(1, round(share * width * 8)) if share > 0 else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")


def moment(when: float) -> str:
    """Return a time in the zone of this machine."""
    return f"{datetime.fromtimestamp(when).astimezone():%Y-%m-%d %H:%M:%S}"


def task_error(facts: dict[str, Any]) -> str:
    """Return the tracebacks of a task, newest first, or its arguments if it has not failed."""
    errors: Sequence[dict[str, Any]] = facts["errors"]
    parts = [str(error.get("traceback") or error.get("type", "")).rstrip() for error in reversed(errors)]
    call = f"arguments: {facts['args']} {facts['kwargs']}"
    return printable("\n\n".join([call, *parts]))


def _fact(label: str, text: str) -> Line:
    return Line(f"{label:<{_LABEL}}{printable(text)}")


def _rate(row: Row[Any], what: str, key: str) -> str:
    rate = row.look.rate(what, key)
    return "" if rate is None else f" ({short_number(rate)} a second)"


def _running_lines(row: Row[ProcessState]) -> list[Line]:
    lines: list[Line] = []
    for run in row.item.running:
        label = "runs now" if not lines else ""
        late = ", OVERDUE" if run.is_overdue else ""
        task_id = f" {run.id}" if run.id else ""
        seconds = duration(row.look.state.looked_at - run.since)
        text = f"{run.handler or run.name} ({run.kind} {run.name}{task_id}) for {seconds}{late}"
        lines.append(Line(_fact(label, text).text, "bold red" if run.is_overdue else ""))
    return lines or [_fact("runs now", "nothing")]


def _problem_lines(row: Row[Any], *subjects: str) -> list[Line]:
    found = [one for one in row.look.state.problems if one.subject in filter(None, subjects)]
    lines = [Line(f"{MARKS[one.severity]} {printable(one.text)} {one.advice}", STYLES[one.severity]) for one in found]
    return [*lines, Line("")] if lines else []
