"""Reports in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


class Skipped(Exception):
    """A scenario cannot run. The message says what to install."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. The first column is aligned left, all others right."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def figure(self, row: str, column: int) -> float:
        """Return the number in a row and column. Column -1 is the last one."""
        return float(next(cells for cells in self.rows if cells[0] == row)[column].replace(",", ""))

    def markdown(self) -> str:
        """Return the table as Markdown, with aligned columns."""
        lines = [list(self.columns), *map(list, self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines.insert(1, rule)
        return f"{self.caption}\n\n" + "\n".join(_line(line, widths) for line in lines)


@dataclass(frozen=True, slots=True)
class Target:
    """A target for one figure. It is an upper limit, or with `at_least` a lower one."""

    metric: str
    limit: float
    measured: float
    at_least: bool = False
    context: str = ""
    """Another figure that helps to judge the result."""

    @property
    def met(self) -> bool:
        """True if the target was met."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def cells(self) -> list[str]:
        """Return the cells of a table row."""
        sign = ">=" if self.at_least else "<="
        return [
            self.metric,
            f"{sign} {self.limit:g}",
            f"{self.measured:g}",
            "met" if self.met else "missed",
            self.context,
        ]


@dataclass(frozen=True, slots=True)
class Report:
    """Results of a scenario. `method` says how they were measured, `notes` how to read them."""

    title: str
    method: str
    tables: Sequence[Table]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()

    def markdown(self, about: str) -> str:
        """Return the report as Markdown. `about` describes the date, the machine and the versions."""
        tables = [*self.tables, *([_target_table(self.targets)] if self.targets else [])]
        notes = ["\n".join(f"* {note}" for note in self.notes)] if self.notes else []
        parts = [f"# {self.title}", about, f"Method: {self.method}", *(t.markdown() for t in tables), *notes]
        return "\n\n".join(parts) + "\n"


def _target_table(targets: Sequence[Target]) -> Table:
    columns = ["metric", "target", "measured", "result", "for comparison"]
    rows = [target.cells() for target in targets]
    used = len(columns) if any(target.context for target in targets) else len(columns) - 1
    return Table("Targets:", columns[:used], [row[:used] for row in rows])


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> list[str]:
    """Return two cells: the median and the range over the repetitions."""
    low, middle, high = (f"{value / scale:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return [middle, f"{low}-{high}"]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([cells[0].ljust(widths[0]), *numbers])} |"
