"""The view of timers, cron rules and file monitors."""

from __future__ import annotations

from heliograph._core.units import duration, short_number
from heliograph.insights.model import TriggerState
from heliograph.top.columns import Column, number, words
from heliograph.top.rates import Look
from heliograph.top.views.lines import Line, fact, moment, problem_notes, rate_text
from heliograph.top.views.row import Row, View, age, bad_if_any, mark, severities, worst


def _rows_of_triggers(look: Look) -> list[Row[TriggerState]]:
    known = severities(look)
    return [Row(one.name, one, look, worst(known, one.name, one.schedule)) for one in look.state.triggers]


def _text_of_next(row: Row[TriggerState]) -> str:
    if row.item.next is None:
        return "-"
    left = row.item.next - row.look.state.looked_at
    return f"in {duration(left)}" if left > 0 else "now"


def trigger_lines(row: Row[TriggerState], _width: int) -> list[Line]:
    """Return the facts of a trigger."""
    one = row.item
    return [
        *problem_notes(row, one.name, one.schedule),
        fact("kind", one.kind),
        fact("rule", one.schedule),
        fact("signal", f"{one.num} to {one.target}"),
        fact("next", "-" if one.next is None else moment(one.next)),
        fact("last", "-" if one.last is None else moment(one.last)),
        fact("fired", f"{one.fired}{rate_text(row, 'fired', one.name)}"),
        fact("missed", f"{one.missed}" + (f", last {moment(one.last_missed)}" if one.last_missed else "")),
        *([Line(fact("late", duration(one.late)).text, "red")] if one.late else []),
        *([Line(fact("fault", one.fault).text, "bold red")] if one.fault else []),
    ]


TRIGGERS: View[TriggerState] = View(
    "triggers",
    "Triggers",
    lambda one: f"Trigger {one.name}",
    (
        mark(),
        words("NAME", 12, lambda row: row.item.name),
        words("RULE", 16, lambda row: row.item.schedule, keeps_end=True),
        number("SIGNAL", 6, lambda row: row.item.num, str, 2),
        Column("NEXT", 8, _text_of_next, lambda row: None if row.item.next is None else -row.item.next),
        number("LAST AGO", 8, lambda row: age(row, row.item.last), duration),
        number("FIRED", 5, lambda row: row.item.fired, short_number),
        number("MISSED", 6, lambda row: row.item.missed, short_number, style=bad_if_any(lambda row: row.item.missed)),
        number("LATE", 5, lambda row: row.item.late, duration, 1, bad_if_any(lambda row: row.item.late)),
        words("TARGET", 7, lambda row: row.item.target, 3),
        words("FAULT", 8, lambda row: row.item.fault or "", 1, style=lambda _: "bold red"),
    ),
    _rows_of_triggers,
    trigger_lines,
    "The application has no timers, cron rules or file monitors.",
)
