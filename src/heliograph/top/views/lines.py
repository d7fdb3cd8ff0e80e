"""Lines of text about one row, and the parts that all details share."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from heliograph._core.texts import printable
from heliograph._core.units import short_number
from heliograph.top.views.row import MARKS, STYLES, Row

_LABEL = 14


class Line(NamedTuple):
    """A line of text, and its style."""

    text: str
    style: str = ""


def moment(when: float) -> str:
    """Return a time in the zone of this machine."""
    return f"{datetime.fromtimestamp(when).astimezone():%Y-%m-%d %H:%M:%S}"


def fact(label: str, text: str) -> Line:
    """Return a line with a name and a value."""
    return Line(f"{label:<{_LABEL}}{printable(text)}")


def rate_text(row: Row[Any], what: str, key: str) -> str:
    """Return how often something happened a second, to be put after its number. Empty if that is not known."""
    rate = row.look.rate(what, key)
    return "" if rate is None else f" ({short_number(rate)} a second)"


def problem_notes(row: Row[Any], *subjects: str) -> list[Line]:
    """Return the problems that have one of these subjects."""
    found = [one for one in row.look.state.problems if one.subject in filter(None, subjects)]
    lines = [Line(f"{MARKS[one.severity]} {printable(one.text)} {one.advice}", STYLES[one.severity]) for one in found]
    return [*lines, Line("")] if lines else []
