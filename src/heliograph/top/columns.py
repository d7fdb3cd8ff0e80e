"""Columns of a table: the text of a cell, the order of rows, and the columns that fit into a width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from heliograph._core.texts import printable

T = TypeVar("T")
Order = str | float | None

GAP = 2
"""Spaces between two columns."""
ELLIPSIS = "…"
MAX_USUAL_RANK = 2
"""Columns of a higher rank are an extra for wide terminals."""
MAX_WANTED = 40
"""Characters of a text for which an extra column waits."""


def _plain(_row: object) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table with rows of the type T."""

    title: str
    width: int
    """Characters that it needs at least."""
    text: Callable[[T], str]
    order: Callable[[T], Order]
    """Value by which rows are sorted. Rows with None come last."""
    is_number: bool = True
    """Numbers are aligned to the right, and the largest comes first."""
    rank: int = 0
    """Columns with the highest rank are left out first where space is short."""
    keeps_end: bool = False
    """A text that is too long loses its beginning: the end of a name of a function tells more."""
    style: Callable[[T], str] = _plain
    """Style of a cell."""


def number(
    title: str,
    width: int,
    value: Callable[[T], float | None],
    shown: Callable[[float], str],
    rank: int = 0,
    style: Callable[[T], str] = _plain,
) -> Column[T]:
    """Return a column of numbers. A missing number is shown as `-`."""

    def text(row: T) -> str:
        found = value(row)
        return "-" if found is None else shown(found)

    return Column(title, width, text, value, rank=rank, style=style)


def words(
    title: str,
    width: int,
    text: Callable[[T], str],
    rank: int = 0,
    *,
    keeps_end: bool = False,
    style: Callable[[T], str] = _plain,
) -> Column[T]:
    """Return a column of texts, which takes the space that is left."""
    return Column(
        title, width, text, lambda row: text(row).lower() or None, False, rank, keeps_end=keeps_end, style=style
    )


def fit(columns: Sequence[Column[T]], rows: Sequence[T], width: int) -> list[tuple[Column[T], int]]:
    """Return the columns that fit into a width, and the width of each.

    Texts share the space that is left, up to the longest text of each.
    """
    longest = {i: _longest(column, rows) for i, column in enumerate(columns) if not column.is_number}
    shown = _chosen(columns, longest, width)
    widths = {i: columns[i].width for i in shown}
    left = width - sum(widths.values()) - GAP * (len(shown) - 1)
    growing = sorted((longest[i] - widths[i], i) for i in shown if i in longest)
    for done, (wanted, i) in enumerate(growing):  # the texts that need least first, so that no space stays unused
        given = max(0, min(wanted, left // (len(growing) - done)))
        widths[i] += given
        left -= given
    return [(columns[i], widths[i]) for i in shown]


def _longest(column: Column[T], rows: Sequence[T]) -> int:
    return max((len(column.text(row)) for row in rows), default=0)


def _chosen(columns: Sequence[Column[T]], longest: Mapping[int, int], width: int) -> list[int]:
    """Return the columns to show. Those of a high rank get only space that the texts before them do not need."""
    shown: set[int] = set()
    used = -GAP
    wanted = 0
    for i in sorted(range(len(columns)), key=lambda i: (columns[i].rank, i)):
        column = columns[i]
        needed = column.width + GAP
        if column.rank and used + needed + (wanted if column.rank > MAX_USUAL_RANK else 0) > width:
            break
        used += needed
        wanted += max(0, min(longest.get(i, 0), MAX_WANTED) - column.width)
        shown.add(i)
    return sorted(shown)


def clipped(text: str, width: int, *, keeps_end: bool = False) -> str:
    """Return a text of one line that is at most `width` characters long."""
    line = printable(" ".join(text.split()))
    if len(line) <= width:
        return line
    kept = max(0, width - 1)
    return (ELLIPSIS + line[len(line) - kept :] if keeps_end else line[:kept] + ELLIPSIS)[:width]


def cell(column: Column[T], row: T, width: int) -> str:
    """Return the text of a cell, as wide as the column."""
    text = clipped(column.text(row), width, keeps_end=column.keeps_end)
    return text.rjust(width) if column.is_number else text.ljust(width)


def in_order(rows: Sequence[T], column: Column[T] | None, *, is_reversed: bool) -> list[T]:
    """Return the rows by a column: texts from a to z, numbers from the largest. None: as they are."""
    if column is None:
        return list(rows)
    known = [row for row in rows if column.order(row) is not None]
    unknown = [row for row in rows if column.order(row) is None]
    known.sort(key=column.order, reverse=column.is_number is not is_reversed)  # type: ignore[arg-type]
    return [*known, *unknown]


def matches(columns: Sequence[Column[T]], row: T, text: str) -> bool:
    """Return True if a cell of the row has the text, in any case."""
    wanted = text.lower()
    return not wanted or any(wanted in column.text(row).lower() for column in columns)
