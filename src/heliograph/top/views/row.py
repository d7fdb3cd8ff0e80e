"""Rows of the views: a value of the read model, and its worst problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from heliograph.insights.model import Severity
from heliograph.top.columns import Column
from heliograph.top.rates import Look

if TYPE_CHECKING:
    from heliograph.top.views.lines import Line

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
    lines: Callable[[Row[T], int], Sequence[Line]]
    """Returns the details of a row, for a width in characters."""
    empty: str
    """Text that is shown if there is none."""


def age(row: Row[Any], moment: float | None) -> float | None:
    """Return the seconds since a moment, at the time of the look."""
    return None if moment is None else max(0.0, row.look.state.looked_at - moment)


def severities(look: Look) -> dict[str, Severity]:
    """Return subject -> severity of its worst problem. Problems come worst first."""
    found: dict[str, Severity] = {}
    for problem in look.state.problems:
        found.setdefault(problem.subject, problem.severity)
    return found


def worst(known: Mapping[str, Severity], *subjects: str) -> Severity | None:
    """Return the severity of the worst problem that has one of these subjects."""
    found = [known[subject] for subject in subjects if subject in known]
    return "critical" if "critical" in found else "warning" if found else None


def mark() -> Column[Row[Any]]:
    """Return the column that marks rows with a problem."""
    return Column(
        "",
        2,
        lambda row: MARKS[row.severity] if row.severity else "",
        lambda row: {"critical": 2.0, "warning": 1.0}[row.severity] if row.severity else None,
        style=lambda row: STYLES[row.severity] if row.severity else "",
    )


def bad_if_any(value: Callable[[Row[T]], float | None]) -> Callable[[Row[T]], str]:
    """Return a style for numbers that should be 0."""
    return lambda row: "red" if value(row) else ""
