"""Tables of the page: a caption, columns, and rows that are drawn again only if what they show has changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from heliograph.web.formats import NONE
from heliograph.web.markup import Markup, element, join

MAX_ROWS = 200
"""Rows of a table. The page says how many it leaves out."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: `key` is unique in its table, `shown` changes if the row has to be drawn again."""

    key: str
    shown: Hashable | Any
    draw: Callable[[], Markup]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its rows, the most important ones first."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    empty: str
    """Text if there are no rows."""
    more: str = ""
    """Place where the rows are that the page leaves out."""

    @property
    def note(self) -> Markup:
        """The text below the table, empty if there is nothing to say."""
        if not self.rows:
            return element("p", self.empty, class_="none")
        left_out = len(self.rows) - MAX_ROWS
        return element("p", f"{left_out:,} more: {self.more}", class_="none") if left_out > 0 else Markup("")


def anchor(kind: str, key: str) -> str:
    """Return the id of a row. Names have characters that an id or the part of an address cannot have."""
    return f"{kind}-{quote(key.encode(errors='replace'), safe='')}"


def row(table: str, key: str, columns: Iterable[Column], cells: Iterable[object], *, class_: str = "") -> Markup:
    """Return a row. The first cell is its heading. A narrow screen shows each column's title in the cell."""
    pairs = list(zip(columns, cells, strict=True))
    first = element("th", pairs[0][1], scope="row", role="rowheader")
    others = [_cell(column, cell) for column, cell in pairs[1:]]
    return element("tr", first, *others, id=anchor(table, key), role="row", class_=class_ or None, tabindex="-1")


def _cell(column: Column, cell: object) -> Markup:
    """Return a cell. One that says nothing is left out on a narrow screen."""
    classes = [*(["number"] if column.is_number else []), *(["blank"] if cell in {NONE, "0"} else [])]
    inner = element("div", cell)
    return element("td", inner, role="cell", data_label=column.title, class_=" ".join(classes) or None)


def table(found: Table, rows: Iterable[Markup]) -> Markup:
    """Return a section with the table and these rows."""
    heads = [
        element("th", column.title, scope="col", role="columnheader", class_="number" if column.is_number else None)
        for column in found.columns
    ]
    body = list(rows)
    return element(
        "section",
        element("h2", found.title, id=f"{found.id}-title"),
        element(
            "div",
            element(
                "table",
                element("thead", element("tr", *heads, role="row"), role="rowgroup"),
                element("tbody", *body, id=found.id, role="rowgroup"),
                role="table",
                aria_labelledby=f"{found.id}-title",
                hidden=not body,
                id=f"{found.id}-table",
            ),
            class_="scroll",
        ),
        element("div", found.note, id=f"{found.id}-note"),
        aria_labelledby=f"{found.id}-title",
    )


def lines(*parts: object) -> Markup:
    """Return what is not None, each on a line of its own."""
    return join(*(element("div", part) for part in parts if part is not None and part != ""))
