"""The screen of a function that runs as a task: its tasks, with tracebacks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from heliograph._core.units import duration
from heliograph.top import actions
from heliograph.top.columns import number, words
from heliograph.top.dialogs import Choice
from heliograph.top.header import HeaderBar
from heliograph.top.rates import Look
from heliograph.top.screens import DetailScreen
from heliograph.top.table import RowTable
from heliograph.top.views import Row, View
from heliograph.top.views.tasks import task_error


def _status_style(row: Row[dict[str, Any]]) -> str:
    return "bold red" if row.item["status"] in {"FAILED", "DEAD"} else ""


def _seconds_ago(row: Row[dict[str, Any]]) -> float | None:
    text = row.item["finished_at"] or row.item["started_at"] or row.item["enqueued_at"]
    return None if text is None else row.look.state.looked_at - datetime.fromisoformat(text).timestamp()


def _last_error(row: Row[dict[str, Any]]) -> str:
    errors = row.item["errors"]
    if not errors:
        return row.item["waits_for"] or ""
    lines = str(errors[-1].get("traceback") or errors[-1].get("type", "")).strip().splitlines()
    return lines[-1] if lines else ""


LIST: View[dict[str, Any]] = View(
    "tasks of a function",
    "Tasks",
    lambda one: f"Task {one['id']}",
    (
        words("STATUS", 10, lambda row: row.item["status"], style=_status_style),
        words("ID", 19, lambda row: row.item["id"], 1),
        number("AGO", 5, _seconds_ago, duration),
        number("ATTEMPTS", 8, lambda row: row.item["attempts"], str),
        words("LAST ERROR", 20, _last_error),
    ),
    lambda _: [],
    lambda _row, _width: [],
    "No tasks are stored.",
)


class TaskScreen(DetailScreen):
    """A function, a list of its tasks, and the tracebacks of the selected one."""

    DEFAULT_CSS = """
    TaskScreen > #facts { height: auto; max-height: 8; }
    TaskScreen > RowTable { height: 1fr; min-height: 4; margin-top: 1; }
    TaskScreen > #error { height: 1fr; border-top: solid $foreground; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause"),
        Binding("t", "retry", "Retry it"),
        Binding("x", "cancel", "Cancel it"),
        Binding("tab", "app.focus_next", "Scroll", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Show the facts, the tasks and a traceback below each other."""
        yield HeaderBar()
        yield Static(Content(self.title_text()), classes="title")
        yield Static(id="facts")
        yield RowTable(LIST)
        with VerticalScroll(id="error"):
            yield Static(id="traceback")
        yield Footer()

    def on_mount(self) -> None:
        """Show the row as it was in the table, and read its tasks."""
        self.query_one(RowTable).focus()
        self.is_ready = True
        self.call_after_refresh(self.show, self.top.look, self.top.fault)

    def show(self, look: Look | None, fault: str | None) -> None:
        """Show the function in a new look, and read its tasks again."""
        super().show(look, fault)
        store = None if look is None else look.state.store
        if store is not None:
            directory, name = store.directory, self.row.item.name
            self.top.in_background(lambda: actions.tasks_of(directory, name), self._show_tasks, self._show_error)

    def _show_tasks(self, tasks: list[dict[str, Any]]) -> None:
        look = self.top.look
        for table in self.query(RowTable):  # none if the screen was closed meanwhile
            table.show([] if look is None else [Row(task["id"], task, look) for task in tasks])

    def _show_error(self, text: str) -> None:
        for static in self.query("#traceback").results(Static):
            static.update(Content(text))

    def on_row_table_selected(self, event: RowTable.Selected) -> None:
        """Show the tracebacks of the task."""
        text = "" if event.row is None else task_error(event.row.item)
        self.query_one("#traceback", Static).update(Content(text))

    def on_row_table_opened(self) -> None:
        """Let the keys scroll the traceback."""
        self.query_one("#error").focus()

    def action_pause(self) -> None:
        """Ask, and pause or resume the function or its target."""
        self.top.ask_pause(self.row.item)

    def action_retry(self) -> None:
        """Ask, and retry the selected task."""
        task = self.selected_task()
        if task is None:
            return
        if task["status"] in {"READY", "RUNNING"}:
            self.top.tell(f"{task['id']} has not finished, so it cannot be retried.")
            return
        text = "The task gets its attempts again and runs with the same arguments."
        if task["status"] == "DEAD":
            text += " It has killed three processes."
        directory, task_id = self.top.store_directory(), task["id"]
        self.top.ask(
            f"Retry {task_id}?", text, [Choice("retry", "Retry")], lambda _: actions.retry(directory, [task_id])
        )

    def action_cancel(self) -> None:
        """Ask, and cancel the selected task."""
        task = self.selected_task()
        if task is None:
            return
        if task["status"] != "READY":
            self.top.tell(f"{task['id']} is {task['status']}: only tasks that have not begun can be cancelled.")
            return
        directory, task_id = self.top.store_directory(), task["id"]
        text = "The task will never run, unless somebody retries it."
        self.top.ask(
            f"Cancel {task_id}?", text, [Choice("cancel", "Cancel it")], lambda _: actions.cancel(directory, [task_id])
        )

    def selected_task(self) -> dict[str, Any] | None:
        """Return the facts of the selected task, or tell that there is none."""
        row = self.query_one(RowTable).selected
        if row is None:
            self.top.tell("No task is selected.")
            return None
        found: dict[str, Any] = row.item
        return found
