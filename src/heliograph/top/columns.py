"""Columns of a table: the text of a cell, the order of rows, and the columns that fit into a width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from heliograph._core.texts import printable

T = TypeVar("T")
Order = str | float | None

GAP = 2
"""Spaces between two columns."""
ELLIPSIS = "…"


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
    shown = _chosen(columns, width)
    widths = [column.width for column in shown]
    left = width - sum(widths) - GAP * (len(shown) - 1)
    growing = [
        (max((len(column.text(row)) for row in rows), default=0) - column.width, i)
        for i, column in enumerate(shown)
        if not column.is_number
    ]
    growing.sort()  # the texts that need least first, so that nothing of the space stays unused
    for done, (wanted, i) in enumerate(growing):
        given = max(0, min(wanted, left // (len(growing) - done)))
        widths[i] += given
        left -= given
    return list(zip(shown, widths, strict=True))


def _chosen(columns: Sequence[Column[T]], width: int) -> list[Column[T]]:
    shown: set[int] = set()
    used = -GAP
    for i in sorted(range(len(columns)), key=lambda i: (columns[i].rank, i)):
        needed = columns[i].width + GAP
        if columns[i].rank and used + needed > width:
            break
        used += needed
        shown.add(i)
    return [column for i, column in enumerate(columns) if i in shown]


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
