"""The history's sums against what was promised.

Of each number at least `taken` and at most `attempted` signals were sent, each of so many copies. So

    lost    copies that were surely sent and whose handler never came to its end: taken x copies - ended
    again   handlers begun beyond all that can have been sent: begun - attempted x copies

A signal that is handled twice may hide one that is lost, in the sum of their number. Twice is handled what was killed
after the handler's end and before the server noted it: at most what the server gave out again (`redelivered`) less
what the history saw interrupted (`begun - ended`). That difference is printed; the kills are spread over all numbers.
"""

from __future__ import annotations

from typing import NamedTuple

from .history import Sums
from .workload import WORKLOAD


class Line(NamedTuple):
    """What became of one number."""

    num: int
    target: str
    copies: int
    sums: Sums

    @property
    def lost(self) -> int:
        """Copies that were surely sent and not handled."""
        return max(0, self.sums.accepted * self.copies - self.sums.finished)

    @property
    def again(self) -> int:
        """Handlers begun beyond what can have been sent."""
        return max(0, self.sums.started - self.sums.attempted * self.copies)

    @property
    def interrupted(self) -> int:
        """Handlers begun that did not come to their end."""
        return self.sums.started - self.sums.finished


def lines(sums: dict[int, Sums]) -> list[Line]:
    """A line for each number, and one for all."""
    return [Line(num, kind.target, kind.copies, sums[num]) for num, kind in WORKLOAD.items()]


def table(found: list[Line]) -> str:
    """For people."""
    head = ("num", "target", "copies", "accepted", "unsure", "to handle", "begun", "ended", "lost", "again")
    rows = [head, *(_row(line) for line in found)]
    total = [sum(int(row[i]) for row in rows[1:]) for i in range(3, len(head))]
    rows.append(("", "all", "", *map(str, total)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(line: Line) -> tuple[str, ...]:
    sums = line.sums
    numbers = (sums.accepted, sums.attempted - sums.accepted, sums.accepted * line.copies, sums.started, sums.finished)
    return (str(line.num), line.target, str(line.copies), *map(str, (*numbers, line.lost, line.again)))
