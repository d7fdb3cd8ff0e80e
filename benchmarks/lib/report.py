"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


class Skipped(Exception):
    """A scenario cannot be run here; says what to install."""


@dataclass(frozen=True, slots=True)
class Table:
    """The first column is text, the others are numbers, written out."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def figure(self, row: str, column: int) -> float:
        """What stands in the row of that name, in column N; -1 is the last."""
        return float(next(cells for cells in self.rows if cells[0] == row)[column].replace(",", ""))

    def markdown(self) -> str:
        """With columns wide enough to be read as plain text."""
        lines = [list(self.columns), *map(list, self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines.insert(1, rule)
        return f"{self.caption}\n\n" + "\n".join(_line(line, widths) for line in lines)


@dataclass(frozen=True, slots=True)
class Report:
    """What a scenario found. `method` says how, `notes` what stands out."""

    title: str
    method: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()

    def markdown(self, about: str) -> str:
        """`about` says when, where and on what."""
        notes = ["\n".join(f"* {note}" for note in self.notes)] if self.notes else []
        parts = [f"# {self.title}", about, f"Method: {self.method}", *(t.markdown() for t in self.tables), *notes]
        return "\n\n".join(parts) + "\n"


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> list[str]:
    """Two cells: the median, and the range, over the repetitions."""
    low, middle, high = (f"{value / scale:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return [middle, f"{low}-{high}"]


def verdict(what: str, found: float, limit: float, *, at_least: bool = False, beside: str = "") -> str:
    """One line on a goal: met or missed; `beside` is what else helps to judge it."""
    met = found >= limit if at_least else found <= limit
    end = f" ({beside})" if beside else ""
    return f"Goal, {what} {'>=' if at_least else '<='} {limit:g}: {found:g}, {'met' if met else 'MISSED'}{end}."


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([cells[0].ljust(widths[0]), *numbers])} |"
