"""Compare the counts with what heliograph guarantees.

At least `accepted` and at most `attempted` signals of each number were sent, and each is handled `copies` times. Hence:

    lost    signals that were certainly sent and not handled: accepted x copies - finished
    again   handlers started more often than signals can have been sent: started - attempted x copies

These are sums, so a signal that is handled twice can hide one that is lost. A signal is handled twice if its process is
killed after the handler finished and before the server recorded that. This happens at most as often as the server
redelivered a signal (`redelivered`) without an interrupted handler (`started - finished`). The report prints this
difference. The kills are spread over all numbers.
"""

from __future__ import annotations

from typing import NamedTuple

from .history import Sums
from .workload import WORKLOAD


class Line(NamedTuple):
    """Counts of one signal number."""

    num: int
    target: str
    copies: int
    sums: Sums

    @property
    def lost(self) -> int:
        """Signals that were certainly sent and not handled."""
        return max(0, self.sums.accepted * self.copies - self.sums.finished)

    @property
    def again(self) -> int:
        """Handlers started more often than signals can have been sent."""
        return max(0, self.sums.started - self.sums.attempted * self.copies)

    @property
    def interrupted(self) -> int:
        """Handlers that started and did not finish."""
        return self.sums.started - self.sums.finished


def lines(sums: dict[int, Sums]) -> list[Line]:
    """Return a line for each number."""
    return [Line(num, kind.target, kind.copies, sums[num]) for num, kind in WORKLOAD.items()]


def table(found: list[Line]) -> str:
    """Format the lines and their sum as a table."""
    head = ("num", "target", "copies", "accepted", "unsure", "to handle", "started", "finished", "lost", "again")
    rows = [head, *(_row(line) for line in found)]
    total = [sum(int(row[i]) for row in rows[1:]) for i in range(3, len(head))]
    rows.append(("", "all", "", *map(str, total)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(line: Line) -> tuple[str, ...]:
    sums = line.sums
    numbers = (sums.accepted, sums.attempted - sums.accepted, sums.accepted * line.copies, sums.started, sums.finished)
    return (str(line.num), line.target, str(line.copies), *map(str, (*numbers, line.lost, line.again)))
