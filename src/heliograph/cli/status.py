"""`heliograph status`: the state of a server and its tasks, with an exit code for probes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliograph._core.layout import IncompatibleServer
from heliograph.cli.errors import CommandError
from heliograph.cli.selection import Selection
from heliograph.cli.tasks.finding import check_access, find_directory, place, store_options
from heliograph.cli.waiting import wait_until_ready
from heliograph.engines.left_tasks import find_left_tasks, left_tasks_text
from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import RequestFailed, RequestTimeout, ServerNotRunning
from heliograph.ipc.instance import find_control_socket
from heliograph.ipc.store_directory import running_server

if TYPE_CHECKING:
    from heliograph.insights.model import Problem, ServerState, StoreState

DEGRADED, NOT_THERE = 1, 2
"""Exit codes."""

_HELP = """Show how a server is: first what is wrong and what to do, then its processes, signals and tasks.

\b
The exit code is for probes:
  0  the server is well
  1  it is degraded: it has a problem, or it does not answer
  2  no server runs

Without a server the command shows the tasks that are stored.
"""


@click.command(help=_HELP, short_help="Show how a server is, and what is wrong.")
@store_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON: see docs/reference/status.md.")
@click.option(
    "--wait-ready",
    type=click.FloatRange(min=0),
    metavar="S",
    help="Wait until the server is ready, also one that is still to be started. The exit code is 0 then, 1 if the "
    "application did not load, and 2 if the server was not ready after S seconds.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="S",
    help="Seconds that the server may take to answer.",
)
def status(as_json: bool, wait_ready: float | None, timeout: float) -> None:
    """Show the state of a server and its tasks."""
    selected = place()
    try:
        if wait_ready is not None:
            wait_until_ready(lambda: _control_socket(selected), wait_ready)
        state = _read(selected, timeout)
    except RequestTimeout:
        _show_without_state(as_json=as_json, problems=(_no_answer(_control_socket(selected), timeout),))
    except IncompatibleServer as error:
        _show_without_state(as_json=as_json, problems=(_other_version(error),))
    else:
        if state is None:
            _show_store(as_json=as_json)
        else:
            _show(state, as_json=as_json, is_awaited=wait_ready is not None)


def _control_socket(selected: Selection) -> Path:
    try:
        return Path(selected.control) if selected.control else find_control_socket(selected.name)
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _read(selected: Selection, timeout: float) -> ServerState | None:
    """Return the state of the server. None: no server runs."""
    from heliograph.insights.reader import read_server  # noqa: PLC0415 - it needs msgspec

    try:
        return read_server(_control_socket(selected), timeout)
    except (RequestTimeout, IncompatibleServer):
        raise
    except RequestFailed as error:
        if error.code == "unknown_verb":
            raise IncompatibleServer("its control socket does not know this request") from error
        raise CommandError(str(error)) from error
    except ServerNotRunning:
        return None
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _show(state: ServerState, *, as_json: bool, is_awaited: bool) -> None:
    from heliograph.cli.status_text import server_lines  # noqa: PLC0415 - it needs msgspec

    if as_json:
        _print_json(state)
    else:
        _echo(list(server_lines(state)))
        if state.store is not None:
            _warn_of_left_tasks(Path(state.store.directory))
    if state.problems and not is_awaited:
        raise SystemExit(DEGRADED)


def _show_store(*, as_json: bool) -> None:
    """Show what is stored while no heliograph server runs. uWSGI may run the tasks."""
    from heliograph.insights.health import problems_of_store  # noqa: PLC0415 - it needs msgspec

    directory = find_directory()
    check_access(directory)
    store, server = _stored(directory), running_server(str(directory))
    problems = problems_of_store(store) if store is not None else ()
    if as_json:
        _print_json({"store": store, "problems": problems, "server": server})
    else:
        _show_lines(store, problems, directory, server)
    if server is None:
        raise CommandError("no server runs. Start one with `heliograph run APP`, or pass --name or --control.")
    if problems:
        raise SystemExit(DEGRADED)


def _show_lines(store: StoreState | None, problems: Sequence[Problem], directory: Path, server: str | None) -> None:
    from heliograph.cli.status_text import problem_lines, store_lines  # noqa: PLC0415 - as above

    for line in problem_lines(problems):
        click.echo(line)
    if store is None:
        click.echo(f"tasks: none are stored in {directory}")
    else:
        _echo(list(store_lines(store)))
    if server is not None:
        click.echo(f"run by the server {server}")
    _warn_of_left_tasks(directory)


def _show_without_state(*, as_json: bool, problems: Sequence[Problem]) -> None:
    """Show why the state of a server that runs cannot be shown."""
    from heliograph.cli.status_text import problem_lines  # noqa: PLC0415 - as above

    if as_json:
        _print_json({"store": None, "problems": problems, "server": None})
    else:
        _echo(list(problem_lines(problems))[:-1])
    raise SystemExit(DEGRADED)


def _stored(directory: Path) -> StoreState | None:
    from heliograph.insights.store import read_store  # noqa: PLC0415 - as above

    return read_store(directory)


def _no_answer(path: Path, timeout: float) -> Problem:
    from heliograph.insights.model import Problem  # noqa: PLC0415 - as above

    advice = "Look whether it is stopped or the machine swaps. If it stays silent, kill it and start it again."
    text = f"the server runs and has not answered for {timeout:g} s."
    return Problem("no_answer", "critical", str(path), text, advice, time.time() - timeout)


def _other_version(error: IncompatibleServer) -> Problem:
    from heliograph.insights.model import Problem  # noqa: PLC0415 - as above

    text = f"the server runs another version of heliograph than this command: {error.difference}."
    return Problem("mixed_versions", "warning", "server", text, "Restart the server: a reload is not enough.")


def _warn_of_left_tasks(directory: Path) -> None:
    if (left := find_left_tasks(directory)) is not None:
        click.echo(left_tasks_text(left, directory))


def _print_json(value: object) -> None:
    import msgspec  # noqa: PLC0415 - few commands need it

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _echo(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))
