"""The screens with the details of one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from heliograph._core.texts import printable
from heliograph.top.header import HeaderBar, content_of
from heliograph.top.rates import Look
from heliograph.top.views import Row, View
from heliograph.top.views.lines import Line

if TYPE_CHECKING:
    from heliograph.top.app import TopApp


def top_app(screen: Screen[None]) -> TopApp:
    """Return the application of a screen."""
    return cast("TopApp", screen.app)  # pyright: ignore[reportUnknownMemberType] - Textual does not know the type


class DetailScreen(Screen[None]):
    """Shows one row of a view, and follows the looks at the server."""

    DEFAULT_CSS = """
    DetailScreen > .title { height: 1; text-style: bold reverse; }
    DetailScreen > VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    DetailScreen #stack { margin-top: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,backspace", "leave", "Back")]

    def __init__(self, view: View[Any], row: Row[Any]) -> None:
        super().__init__()
        self.view = view
        self.row: Row[Any] = row
        self.is_gone = False
        self.is_ready = False
        """True as soon as all widgets are there."""

    @property
    def top(self) -> TopApp:
        """The application."""
        return top_app(self)

    def compose(self) -> ComposeResult:
        """Show the facts below the header."""
        yield HeaderBar()
        yield Static(Content(self.title_text()), classes="title")
        with VerticalScroll():
            yield Static(id="facts")
            yield Static(id="stack")
        yield Footer()

    def on_mount(self) -> None:
        """Show the row as it was in the table."""
        self.query_one(VerticalScroll).focus()
        self.is_ready = True
        self.call_after_refresh(self.show, self.top.look, self.top.fault)

    def title_text(self) -> str:
        """Return the line that names the row."""
        return f" {printable(self.view.one(self.row.item))}"

    def show(self, look: Look | None, fault: str | None) -> None:
        """Show the row in a new look. A row that is gone stays as it was."""
        self.query_one(HeaderBar).show(look, fault)
        if look is not None:
            found = next((row for row in self.view.rows(look) if row.key == self.row.key), None)
            self.is_gone = found is None
            self.row = found or self.row
        gone = [Line("It is not there any more. The facts are those of the last look.", "yellow"), Line("")]
        lines = self.view.lines(self.row, max(20, self.size.width - 2))
        self.query_one("#facts", Static).update(content_of([*(gone if self.is_gone else []), *lines]))

    def action_leave(self) -> None:
        """Return to the table."""
        self.dismiss(None)


class ProcessScreen(DetailScreen):
    """A process, with the stacks of its threads."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("s", "stack", "Look at the stack again")]

    def on_mount(self) -> None:
        """Ask for the stack at once."""
        super().on_mount()
        self.action_stack()

    def action_stack(self) -> None:
        """Ask the process for the stacks of its threads."""
        self._show_stack("Asking the process for its stack ...")
        self.top.watcher.postpone()
        name = self.row.item.name
        self.top.in_background(lambda: self.top.actions.stack(name), self._show_stack, self._show_error)

    def _show_error(self, text: str) -> None:
        self._show_stack(f"Not available: {text}")

    def _show_stack(self, text: str) -> None:
        content = Content.assemble(Content.styled("Stack", "bold"), "\n", Content(printable(text)))
        for static in self.query("#stack").results(Static):  # none if the screen was closed meanwhile
            static.update(content)
