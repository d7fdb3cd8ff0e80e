"""The view of the problems."""

from __future__ import annotations

from heliograph._core.texts import printable
from heliograph._core.units import duration
from heliograph.insights.model import Problem
from heliograph.top.columns import number, words
from heliograph.top.rates import Look
from heliograph.top.views.lines import Line, fact, moment
from heliograph.top.views.row import STYLES, Row, View, age


def _rows_of_problems(look: Look) -> list[Row[Problem]]:
    return [Row(f"{one.code} {one.subject}", one, look, one.severity) for one in look.state.problems]


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
        fact("code", one.code),
        *([fact("since", f"{moment(one.since)} ({duration(age(row, one.since) or 0)})")] if one.since else []),
    ]


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
    problem_lines,
    "The server is well.",
)
