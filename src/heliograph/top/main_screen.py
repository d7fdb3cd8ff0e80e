"""The screen with the five tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Footer, Input

from heliograph.insights.model import TaskState
from heliograph.top import actions
from heliograph.top.dialogs import Choice
from heliograph.top.header import HeaderBar, ViewBar
from heliograph.top.rates import Look
from heliograph.top.screens import DetailScreen, ProcessScreen, top_app
from heliograph.top.table import RowTable
from heliograph.top.task_screen import TaskScreen
from heliograph.top.views import PROCESSES, TASKS, VIEWS, Row

if TYPE_CHECKING:
    from heliograph.top.app import TopApp

_TASK_ACTIONS = frozenset({"pause", "retry", "cancel"})


class MainScreen(Screen[None]):
    """Shows one of the views below the header."""

    DEFAULT_CSS = """
    MainScreen > ContentSwitcher { height: 1fr; }
    MainScreen > Input { display: none; height: 1; border: none; padding: 0; }
    MainScreen.filtering > Input { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause"),
        Binding("t", "retry", "Retry"),
        Binding("x", "cancel", "Cancel"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse", show=False),
        Binding("escape", "clear", "No filter", show=False),
        *(Binding(f"{number}", f"show_view({number - 1})", "View", show=False) for number in range(1, 6)),
        Binding("right,tab", "next_view(1)", "Next view", show=False),
        Binding("left,shift+tab", "next_view(-1)", "View before", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        """The view that is shown, from 0."""
        self.is_ready = False
        """True as soon as all widgets are there."""

    @property
    def top(self) -> TopApp:
        """The application."""
        return top_app(self)

    @property
    def table(self) -> RowTable:
        """The table that is shown."""
        return self.query_one(f"#{VIEWS[self.number].name}", RowTable)

    def compose(self) -> ComposeResult:
        """Show the header, a table and the keys."""
        yield HeaderBar()
        yield ViewBar()
        with ContentSwitcher(initial=VIEWS[0].name):
            for view in VIEWS:
                yield RowTable(view, id=view.name)
        yield Input(placeholder="Show only rows with this text. Escape: all rows", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        """Let the keys move in the table."""
        self.is_ready = True
        self.table.focus()
        self.show_again()

    def on_resize(self) -> None:
        """Fill the width."""
        self.show_again()

    def show_again(self) -> None:
        """Show the last look, as soon as the sizes of the widgets are known."""
        if self.is_ready:
            self.call_after_refresh(self.show, self.top.look, self.top.fault)

    def show(self, look: Look | None, fault: str | None) -> None:
        """Show a look."""
        self.query_one(HeaderBar).show(look, fault)
        if look is not None:
            view = VIEWS[self.number]
            self.table.show(view.rows(look))
        self._show_bar()

    def _show_bar(self) -> None:
        look, text = self.top.look, self.query_one(Input).value
        problems = 0 if look is None else len(look.state.problems)
        self.query_one(ViewBar).show(self.number, problems, f"filter: {text}" if text else "")

    def action_show_view(self, number: int) -> None:
        """Show a view, by its number from 0."""
        self.number = number
        self.query_one(ContentSwitcher).current = VIEWS[number].name
        self.table.focus()
        self.table.filter(self.query_one(Input).value)
        self.show_again()
        self.refresh_bindings()

    def action_next_view(self, steps: int) -> None:
        """Show the next view."""
        self.action_show_view((self.number + steps) % len(VIEWS))

    def on_view_bar_chosen(self, event: ViewBar.Chosen) -> None:
        """Show the view whose name was clicked."""
        self.action_show_view(event.number)

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """Show a row in detail."""
        view = event.view  # not the one that is shown: another key may have changed it meanwhile
        kind = {PROCESSES.name: ProcessScreen, TASKS.name: TaskScreen}.get(view.name, DetailScreen)
        self.top.push_screen(kind(view, event.row))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.table.sort_by_next()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.table.reverse()

    def action_filter(self) -> None:
        """Let the person type a text."""
        self.add_class("filtering")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def on_typed(self, event: Input.Changed) -> None:
        """Show the rows with the text."""
        self.table.filter(event.value)
        self._show_bar()

    @on(Input.Submitted)
    def on_submitted(self) -> None:
        """Keep the text, and let the keys move in the table again."""
        self.remove_class("filtering")
        self.table.focus()

    def action_clear(self) -> None:
        """Show all rows again."""
        self.query_one(Input).value = ""
        self.on_submitted()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Show the keys for tasks where tasks are."""
        return VIEWS[self.number].name == TASKS.name if action in _TASK_ACTIONS else True

    def action_pause(self) -> None:
        """Ask, and pause or resume the selected function or its target."""
        row = self.selected_task()
        if row is not None:
            self.top.ask_pause(row.item)

    def action_retry(self) -> None:
        """Ask, and retry all failed tasks of the selected function."""
        row = self.selected_task()
        if row is None:
            return
        name, failed, dead = row.item.name, row.item.counts.get("FAILED", 0), row.item.counts.get("DEAD", 0)
        if not failed:
            hint = f" {dead} DEAD: open it with Enter to retry one." if dead else ""
            self.top.tell(f"No task of {name} has FAILED.{hint}")
            return
        directory = self.top.store_directory()
        text = f"{failed} FAILED tasks of {name} get their attempts again and run with the same arguments."
        self.top.ask(
            f"Retry {name}?", text, [Choice("retry", "Retry all")], lambda _: actions.retry_failed(directory, name)
        )

    def action_cancel(self) -> None:
        """Ask, and cancel all tasks of the selected function that have not begun."""
        row = self.selected_task()
        if row is None:
            return
        name, ready = row.item.name, row.item.counts.get("READY", 0)
        if not ready:
            self.top.tell(f"No task of {name} is READY: only tasks that have not begun can be cancelled.")
            return
        directory = self.top.store_directory()
        text = f"{ready} READY tasks of {name} will never run. Tasks that run now go on."
        self.top.ask(
            f"Cancel {name}?", text, [Choice("cancel", "Cancel all")], lambda _: actions.cancel_ready(directory, name)
        )

    def selected_task(self) -> Row[TaskState] | None:
        """Return the selected function, or tell that there is none."""
        row: Row[Any] | None = self.table.selected
        if row is None:
            self.top.tell("No task is selected.")
        return row
