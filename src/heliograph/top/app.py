"""The application: it looks at the server, and carries out what a person has confirmed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.message import Message

from heliograph.exceptions import ConfigError
from heliograph.insights.model import ServerState, TaskState
from heliograph.top import actions
from heliograph.top.actions import Actions
from heliograph.top.dialogs import Choice, Help, Question
from heliograph.top.main_screen import MainScreen
from heliograph.top.rates import Look
from heliograph.top.reader import Connect, Watcher
from heliograph.top.screens import DetailScreen

_T = TypeVar("_T")

_HELP = """\
1 to 5, Tab     show a view; Left and Right, too
arrows, j, k    select a row; PageUp, PageDown, Home, End
Enter           show the row in detail; Escape returns
s, S            sort by the next column; reverse
                A click on a title sorts by it.
/               show only rows with a text; Escape shows all
r               reload the code of the server
p               pause or resume a task or target
t, x            retry failed tasks; cancel waiting ones
q               quit. The server goes on.

Each change is asked first. !! is critical, ! is a warning.
RUN/S, SENT/S, DONE/S: number a second, since the last look.
WAIT95, RUN95: 95 of 100 waited, or ran, at most that long.
MEMORY: PSS. Shared memory is divided among its processes.\
"""


class TopApp(App[None]):
    """A running server, live."""

    TITLE = "heliograph top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Footer { height: 1; }
    Toast { width: 60; max-width: 80%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reload", "Reload"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    class Looked(Message):
        """The server was looked at, or cannot be."""

        def __init__(self, look: Look | None, fault: str | None) -> None:
            super().__init__()
            self.look = look
            self.fault = fault

    class Finished(Message):
        """Work in a thread has finished."""

        def __init__(self, call: Callable[[], None]) -> None:
            super().__init__()
            self.call = call

    def __init__(
        self, connect: Connect, actions_: Actions, interval: float = 1.0, first: ServerState | None = None
    ) -> None:
        """Create the application.

        Args:
            connect: Connects to the server, in a thread.
            actions_: Acts on the server, in threads.
            interval: Seconds between two looks.
            first: A look that was just taken.
        """
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.actions = actions_
        self._first = first
        self.look = None if first is None else Look(first)
        """The last look."""
        self.fault: str | None = None
        """Reason for which the server cannot be looked at now."""
        self.watcher = Watcher(
            connect,
            interval,
            lambda look: self._post(self.Looked(look, None)),
            lambda fault: self._post(self.Looked(None, fault)),
        )

    def get_default_screen(self) -> MainScreen:
        """Begin with the tables."""
        return MainScreen()

    def on_mount(self) -> None:
        """Begin to look at the server."""
        self.watcher.start(self._first)

    def on_unmount(self) -> None:
        """Look no more."""
        self.watcher.stop()

    def on_top_app_looked(self, event: Looked) -> None:
        """Show a look on all screens. Tell what has changed in the server."""
        before, was_lost = self.look, self.fault is not None
        self.fault = event.fault
        if event.look is not None:
            self.look = event.look
            self._tell_changes(before, event.look, was_lost=was_lost)
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen | DetailScreen) and screen.is_ready:
                with contextlib.suppress(NoMatches):  # the application ends, and some widgets are gone
                    screen.show(self.look, self.fault)

    def _tell_changes(self, before: Look | None, now: Look, *, was_lost: bool) -> None:
        if before is None:
            return
        old, new = before.state, now.state
        if old.pid != new.pid:
            self.tell(f"The server was restarted (master {new.pid})")
        elif was_lost:
            self.tell("Connected again")
        elif old.generation != new.generation:
            self.tell(f"The server was reloaded (generation {new.generation})")

    def on_top_app_finished(self, event: Finished) -> None:
        """Use the result of a thread."""
        event.call()

    def in_background(
        self, work: Callable[[], _T], then: Callable[[_T], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """Do work in a thread, and call `then` with its result here, or `failed` with its error."""

        def run() -> None:
            try:
                result = work()
            except (ConfigError, OSError) as error:
                self._post(self.Finished(partial(failed or self.tell_error, str(error))))
            except Exception as error:  # noqa: BLE001 - a defect ends the program, not this thread alone
                self._post(self.Finished(partial(_fail, error)))
            else:
                self._post(self.Finished(partial(then, result)))

        threading.Thread(target=run, name="heliograph-top-work", daemon=True).start()

    def _post(self, message: Message) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self.post_message(message)

    def tell(self, text: str) -> None:
        """Show a text for some seconds."""
        self.notify(text, markup=False)

    def tell_error(self, text: str) -> None:
        """Show an error."""
        self.notify(text, title="It failed", severity="error", timeout=15, markup=False)

    def ask(
        self, title: str, text: str, choices: Sequence[Choice], work: Callable[[str], str], busy: str | None = None
    ) -> None:
        """Ask, and do the work in a thread with the answer. Show its result. `busy`: text until then."""

        def answered(answer: str | None) -> None:
            if answer is None:
                return
            if busy is not None:
                self.tell(busy)
            self.in_background(lambda: work(answer), self.tell)

        self.push_screen(Question(title, text, choices), answered)

    def store_directory(self) -> str:
        """Return the directory of the tasks."""
        store = None if self.look is None else self.look.state.store
        return "" if store is None else store.directory

    def ask_pause(self, task: TaskState) -> None:
        """Ask, and pause or resume a function or its target."""
        directory = self.store_directory()
        store = None if self.look is None else self.look.state.store
        paused = store.paused if store is not None else ()
        choices = [
            Choice(name, f"{'Resume' if name in paused else 'Pause'} {label}")
            for name, label in ((task.name, "the task"), (task.target, f"target {task.target}"))
        ]
        text = (
            "While it is paused, no task begins. Tasks that run now finish, and new ones can be enqueued. The pause "
            "survives restarts."
        )

        def work(name: str) -> str:
            return actions.resume(directory, name) if name in paused else actions.pause(directory, name)

        self.ask(f"Pause or resume {task.name}?", text, choices, work)

    def action_reload(self) -> None:
        """Ask, and reload the server."""
        if self.look is None or self.fault is not None:
            self.tell("The server is not connected.")
            return
        state = self.look.state
        text = (
            f"The server {state.name} loads {state.app} again and replaces its {len(state.processes)} processes. No "
            "signal is lost. If the new code does not load, the old code keeps running."
        )
        self.ask(
            f"Reload {state.name}?",
            text,
            [Choice("reload", "Reload")],
            lambda _: self.actions.reload(),
            "Reloading ...",
        )

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(_HELP))


def _fail(error: Exception) -> None:
    raise error
