"""Dialogs: the question before an action, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

_CSS = """
{name} {{ align: center middle; }}
{name} > Vertical {{
    width: 72; max-width: 96%; height: auto; max-height: 90%; border: heavy $foreground; padding: 0 1;
}}
{name} .title {{ text-style: bold; margin-bottom: 1; }}
{name} VerticalScroll {{ height: auto; max-height: 16; }}
{name} Horizontal {{ height: auto; margin-top: 1; }}
{name} Button {{ margin-right: 2; }}
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer to a question."""

    value: str
    label: str


class Question(ModalScreen[str | None]):
    """Asks before an action. The answer is the value of a choice, or None: do nothing."""

    DEFAULT_CSS = _CSS.format(name="Question")

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "leave", "No", show=False),
        Binding("y", "choose_only", "Yes", show=False),
        *(Binding(str(number), f"choose({number})", "Choose", show=False) for number in range(1, 6)),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, title: str, text: str, choices: Sequence[Choice]) -> None:
        """`text` says what will happen. With one choice, the key y chooses it."""
        super().__init__()
        self.question = title
        self.text = text
        self.choices = choices

    def compose(self) -> ComposeResult:
        """Show the question, with the button that does nothing first."""
        with Vertical():
            yield Static(Content(self.question), classes="title")
            yield Static(Content(self.text))
            with Horizontal():
                yield Button("No (n)", id="leave", compact=True)
                for number, choice in enumerate(self.choices, 1):
                    key = "y" if len(self.choices) == 1 else str(number)
                    yield Button(Content(f"{choice.label} ({key})"), id=f"choice{number}", compact=True)

    @on(Button.Pressed)
    def on_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button."""
        name = event.button.id or ""
        if name == "leave":
            self.action_leave()
        else:
            self.action_choose(int(name.removeprefix("choice")))

    def action_leave(self) -> None:
        """Do nothing."""
        self.dismiss(None)

    def action_choose_only(self) -> None:
        """Choose the only choice."""
        if len(self.choices) == 1:
            self.action_choose(1)

    def action_choose(self, number: int) -> None:
        """Answer with a choice, by its number from 1."""
        if number <= len(self.choices):
            self.dismiss(self.choices[number - 1].value)


class Help(ModalScreen[None]):
    """Shows the keys and the meaning of the columns."""

    DEFAULT_CSS = _CSS.format(name="Help")

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "leave", "Close", show=False)]

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        """Show the text."""
        with Vertical():
            yield Static(Content("heliograph top"), classes="title")
            with VerticalScroll():
                yield Static(Content(self.text))

    def action_leave(self) -> None:
        """Close the dialog."""
        self.dismiss(None)
