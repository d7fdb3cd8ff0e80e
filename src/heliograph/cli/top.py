"""`heliograph top`: a running server in the terminal, live."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliograph.cli.errors import CommandError
from heliograph.cli.selection import Selection, selection
from heliograph.cli.server_commands import find_server, server_options
from heliograph.ipc.instance import find_control_socket

if TYPE_CHECKING:
    from heliograph.insights.model import ServerState
    from heliograph.insights.reader import ServerReader

MIN_INTERVAL = 1.0
"""Seconds. Each look is a request to the master, which has other work."""
_LOOK_TIMEOUT = 5.0
"""Seconds after which a look at a server that does not answer has failed."""
_DUMB = frozenset({"", "dumb", "unknown"})


@click.command(
    help="Watch a running server in the terminal: processes, signals, tasks, triggers and problems, with live rates. "
    "Press ? for the keys. It can also reload the server, and pause, retry and cancel tasks: each is asked first. "
    "Needs Textual: pip install 'heliograph[top]'. Without a terminal, use `heliograph status`.",
    short_help="Watch a running server in the terminal.",
)
@server_options
@click.option(
    "--interval",
    type=click.FloatRange(min=MIN_INTERVAL),
    default=MIN_INTERVAL,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two looks at the server.",
)
def top(verbose: bool, interval: float) -> None:
    """Watch a running server in the terminal."""
    _check_terminal()
    _check_textual()
    selected = selection()
    with find_server(verbose=verbose) as path:
        reader = _new_reader(path)
        first = reader.look()
    _run(reader, first, selected, interval)


def _run(reader: ServerReader, first: ServerState, selected: Selection, interval: float) -> None:
    from heliograph.top.actions import Actions  # noqa: PLC0415 - only this command needs it
    from heliograph.top.app import TopApp  # noqa: PLC0415 - it needs the extra

    opened = [reader]

    def find() -> Path:
        return Path(selected.control) if selected.control else find_control_socket(selected.name)

    def connect() -> ServerReader:
        return opened.pop() if opened else _new_reader(find())

    app = TopApp(connect, Actions(find), interval, first)
    app.run()
    if app.return_code:  # a defect: Textual has printed the traceback
        raise SystemExit(app.return_code)


def _check_terminal() -> None:
    """Check that a person can see and type. Raises: CommandError."""
    term = os.environ.get("TERM", "")
    if not _is_terminal():
        raise CommandError("heliograph top needs a terminal. Use `heliograph status` in scripts and pipes.")
    if term in _DUMB:
        raise CommandError(
            f"heliograph top needs a terminal that can move its cursor: TERM={term!r}. Use `heliograph status`."
        )


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _check_textual() -> None:
    if importlib.util.find_spec("textual") is None:
        raise CommandError("heliograph top needs Textual: pip install 'heliograph[top]'.")


def _new_reader(path: Path) -> ServerReader:
    from heliograph.insights.reader import ServerReader  # noqa: PLC0415 - it needs msgspec

    return ServerReader(path, timeout=_LOOK_TIMEOUT)
