"""A table that shows many rows, draws only those on the screen, and keeps its selected row when rows move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from heliograph.top.columns import GAP, Column, cell, fit, in_order, matches
from heliograph.top.views import Row, View

_HEADER = Style(bold=True, underline=True)
_SELECTED = Style(reverse=True)
_EMPTY = Style(dim=True)


class RowTable(ScrollView, can_focus=True):
    """A table of a view. Enter opens a row, a click on a title sorts."""

    DEFAULT_CSS = """
    RowTable { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
        Binding("enter", "open", "Details", show=False),
    ]

    class Opened(Message):
        """A row is to be shown in detail."""

        def __init__(self, view: View[Any], row: Row[Any]) -> None:
            super().__init__()
            self.view = view
            self.row = row

    class Selected(Message):
        """Another row is selected."""

        def __init__(self, table: RowTable, row: Row[Any] | None) -> None:
            super().__init__()
            self.table = table
            self.row = row

    def __init__(self, view: View[Any], *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id)
        self.view = view
        self.sorted_by: Column[Row[Any]] | None = None
        self.is_reversed = False
        self._filter = ""
        self._all: Sequence[Row[Any]] = ()
        self._rows: list[Row[Any]] = []
        self._shown: list[tuple[Column[Row[Any]], int]] = []
        self._index = 0

    @property
    def rows(self) -> Sequence[Row[Any]]:
        """The rows that the filter lets through, in their order."""
        return self._rows

    @property
    def selected(self) -> Row[Any] | None:
        """The selected row."""
        return self._rows[self._index] if self._rows else None

    def show(self, rows: Sequence[Row[Any]]) -> None:
        """Show these rows. The selected one stays selected."""
        self._all = rows
        self._arrange()

    def filter(self, text: str) -> None:
        """Show only rows with a text."""
        self._filter = text
        self._arrange()

    def sort_by(self, column: Column[Row[Any]] | None) -> None:
        """Sort by a column. The same column again: the other way round."""
        self.is_reversed = column is self.sorted_by and not self.is_reversed
        self.sorted_by = column
        self._arrange()

    def sort_by_next(self) -> None:
        """Sort by the next visible column. After the last one, do not sort."""
        columns = [None, *(column for column, _ in self._shown)]
        at = columns.index(self.sorted_by) if self.sorted_by in columns else 0
        self.sort_by(columns[(at + 1) % len(columns)])

    def reverse(self) -> None:
        """Turn the order round."""
        self.is_reversed = not self.is_reversed
        self._arrange()

    def _arrange(self) -> None:
        before, columns = self.selected, self.view.columns
        found = [row for row in self._all if matches(columns, row, self._filter)]
        self._rows = in_order(found, self.sorted_by, is_reversed=self.is_reversed)
        if self.sorted_by is None and self.is_reversed:
            self._rows.reverse()
        keys = [row.key for row in self._rows]
        if before is not None and before.key in keys:
            self._index = keys.index(before.key)
        self._index = max(0, min(self._index, len(self._rows) - 1))
        self._lay_out()
        self._tell(before)

    def _lay_out(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        self._shown = fit(self.view.columns, self._rows, max(1, self.size.width))
        self.refresh()

    def _tell(self, before: Row[Any] | None) -> None:
        now = self.selected
        if now is not before:
            self.post_message(self.Selected(self, now))

    def on_resize(self, _event: events.Resize) -> None:
        """Choose the columns that fit."""
        self._lay_out()

    def on_click(self, event: events.Click) -> None:
        """Sort by the title, or select the row. A second click opens it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            column = self._column_at(offset.x)
            if column is not None:
                self.sort_by(column)
            return
        index = offset.y - 1 + self.scroll_offset.y
        if index < len(self._rows):
            self._select(index)
            if event.chain == 2:
                self.action_open()

    def _column_at(self, x: int) -> Column[Row[Any]] | None:
        start = 0
        for column, width in self._shown:
            if start <= x < start + width + GAP:
                return column
            start += width + GAP
        return None

    def action_move(self, steps: int) -> None:
        """Select a row further down, or up."""
        self._select(self._index + steps)

    def action_page(self, direction: int) -> None:
        """Select a row a page further down, or up."""
        self._select(self._index + direction * max(1, self.size.height - 2))

    def action_open(self) -> None:
        """Show the selected row in detail."""
        if self.selected is not None:
            self.post_message(self.Opened(self.view, self.selected))

    def _select(self, index: int) -> None:
        before = self.selected
        self._index = max(0, min(index, len(self._rows) - 1))
        top, visible = self.scroll_offset.y, max(1, self.size.height - 1)
        if self._index < top:
            self.scroll_to(y=self._index, animate=False, immediate=True)
        elif self._index >= top + visible:
            self.scroll_to(y=self._index - visible + 1, animate=False, immediate=True)
        self.refresh()
        self._tell(before)

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen."""
        if y == 0:
            return self._strip([Segment(self._title(column, width), _HEADER) for column, width in self._shown], _HEADER)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._rows):
            text = self._empty_text() if y == 1 and not self._rows else ""
            return self._strip([Segment(text, _EMPTY)])
        row = self._rows[index]
        if index == self._index:  # without the colours of its cells, which are hard to read in reverse
            return self._strip(
                [Segment(cell(column, row, width), _SELECTED) for column, width in self._shown], _SELECTED
            )
        return self._strip([Segment(cell(column, row, width), _style(column, row)) for column, width in self._shown])

    def _empty_text(self) -> str:
        return f"No row has the text {self._filter!r}." if self._all else self.view.empty

    def _title(self, column: Column[Row[Any]], width: int) -> str:
        title = column.title
        if column is self.sorted_by:
            descends = column.is_number is not self.is_reversed
            title = f"{title[: width - 1]}{'▼' if descends else '▲'}"
        return title.rjust(width) if column.is_number else title.ljust(width)

    def _strip(self, cells: Sequence[Segment], between: Style | None = None) -> Strip:
        gap = Segment(" " * GAP, between)
        segments = [part for one in cells for part in (one, gap)][:-1]
        style = self.rich_style + between if between is not None else self.rich_style
        return Strip(segments).adjust_cell_length(self.size.width, style).apply_style(self.rich_style)


def _style(column: Column[Row[Any]], row: Row[Any]) -> Style:
    return Style.parse(column.style(row) or "none")
