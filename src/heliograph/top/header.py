"""The lines above the tables: the server and its worst problem, and the names of the views."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from heliograph._core.units import duration
from heliograph.insights.model import ServerState
from heliograph.top.columns import clipped
from heliograph.top.rates import Look
from heliograph.top.views import VIEWS
from heliograph.top.views.lines import Line
from heliograph.top.views.row import MARKS, STYLES


def header_lines(look: Look | None, fault: str | None, width: int) -> tuple[Sequence[Line], Line]:
    """Return the parts of the first line, and the second line.

    Args:
        look: The last look at the server.
        fault: Reason for which the server cannot be looked at now.
        width: Characters of a line.
    """
    if look is None:
        text = "Connecting ..." if fault is None else f"Not connected, trying again: {fault}"
        return (Line("heliograph top", "bold"),), Line(
            clipped(text, width), "" if fault is None else STYLES["critical"]
        )
    state = look.state
    right = f"up {duration(state.looked_at - state.started_at)}  generation {state.generation}  pid {state.pid}"
    health = _health(state) if fault is None else Line("not connected", STYLES["critical"])
    name = clipped(state.name, max(8, width - len(right) - len(health.text) - 4))
    space = " " * max(2, width - len(name) - 2 - len(health.text) - len(right))
    return (Line(name, "bold"), Line("  "), health, Line(space + right)), _second_line(state, fault, width)


def _health(state: ServerState) -> Line:
    if not state.problems:
        return Line("well", "bold green")
    severity = state.problems[0].severity
    count = len(state.problems)
    return Line(f"UNWELL ({count} {'problem' if count == 1 else 'problems'})", STYLES[severity])


def _second_line(state: ServerState, fault: str | None, width: int) -> Line:
    if fault is not None:
        return Line(clipped(f"Trying again: {fault}", width), STYLES["critical"])
    if state.is_stopping:
        return Line("The server is stopping", "yellow")
    if state.is_loading:
        return Line("The server is loading new code", "yellow")
    if state.problems:
        worst = state.problems[0]
        text = f"{MARKS[worst.severity]} {worst.text} {worst.advice}"
        return Line(clipped(text, width), STYLES[worst.severity])
    return Line(f"{state.app}, heliograph {state.version}, Python {state.python}", "dim")


_STYLES = {"red": "ansi_red", "yellow": "ansi_yellow", "green": "ansi_green"}


def styled(line: Line) -> Content:
    """Return a line in the colours of the terminal."""
    return Content.styled(line.text, " ".join(_STYLES.get(word, word) for word in line.style.split()))


def content_of(lines: Sequence[Line]) -> Content:
    """Return lines as content of a widget."""
    return Content("\n").join([styled(line) for line in lines])


class HeaderBar(Static):
    """The server and its worst problem."""

    DEFAULT_CSS = "HeaderBar { height: 2; }"

    def show(self, look: Look | None, fault: str | None) -> None:
        """Show a look."""
        first, second = header_lines(look, fault, max(20, self.size.width))
        self.update(Content.assemble(*(styled(line) for line in first), "\n", styled(second)))


class ViewBar(Static):
    """The names of the views. A click shows one."""

    DEFAULT_CSS = "ViewBar { height: 1; }"

    class Chosen(Message):
        """A view is to be shown."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[int] = []

    def show(self, current: int, problems: int, note: str) -> None:
        """Mark the current view, by its number from 0. `note` tells about the filter and the order."""
        parts: list[Content] = []
        self._ends = []
        end = 0
        for number, view in enumerate(VIEWS):
            count = f" ({problems})" if view.name == "problems" and problems else ""
            text = f" {number + 1} {view.title}{count} "
            style = "reverse" if number == current else ("ansi_yellow" if count else "")
            parts += [Content.styled(text, style), Content(" ")]
            end += len(text) + 1
            self._ends.append(end)
        self.update(Content.assemble(*parts, Content.styled(clipped(note, max(0, self.size.width - end)), "dim")))

    def on_click(self, event: events.Click) -> None:
        """Show the view under the pointer."""
        for number, end in enumerate(self._ends):
            if event.x < end:
                self.post_message(self.Chosen(number))
                return
