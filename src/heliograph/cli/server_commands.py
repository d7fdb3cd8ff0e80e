"""`heliograph signals`, `schedule`, `reload`, `stop` and `list`: commands for a running heliograph server."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from heliograph.application import summary_of
from heliograph.cli.errors import CommandError
from heliograph.cli.selection import selection, selection_options
from heliograph.cli.tables import table
from heliograph.exceptions import ConfigError
from heliograph.insights import read_state
from heliograph.ipc.control_client import RequestFailed, RequestTimeout, ServerNotRunning, request
from heliograph.ipc.control_sockets import is_served
from heliograph.ipc.instance import find_control_socket, running_servers
from heliograph.ipc.stopping import stop_and_wait

_F = TypeVar("_F", bound=Callable[..., object])

_COLUMNS = (
    *("num", "name", "target", "handler", "sent", "done", "failed", "queued", "coalesced"),
    *("redelivered", "dropped"),
)
_ONLY_IF_USED = frozenset({"name", "coalesced"})
"""Columns that the table has only if a row has a value there."""
_TRIGGER_COLUMNS = ("num", "name", "trigger", "fired", "missed")
_MAX_RUNS = 1000
_NO_WAIT_TIMEOUT = 10.0
"""Seconds for an answer that the server gives at once."""

_WEB_SERVER_FAILED = (
    "the web server does not start with the new code: {}. Its last lines are in the log of the server, which goes on "
    "starting it. Correct the code, and run `heliograph reload` again. To have the web application checked before a "
    "reload, pass its module to `heliograph run` as APP."
)
_NOT_AWAITED = (
    "Note: the web server got SIGHUP. The command did not wait for {}: no process has joined so far, or it joins at "
    "its first request."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
timeout_option = click.option(
    "--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S", help="Seconds to wait."
)


def server_options(command: _F) -> _F:
    """Add the options that select the server."""
    verbose = click.option("-v", "--verbose", is_flag=True, help="Name the control socket in errors.")
    return selection_options("name", "control")(verbose(command))


def next_option(default: int | None) -> Callable[[_F], _F]:
    """Add the option for the number of runs to show."""
    return click.option(
        *("--next", "count"),
        type=click.IntRange(1, _MAX_RUNS),
        default=default,
        show_default=default is not None,
        metavar="N",
        help="Number of runs to show." if default else "Show the next N runs, as `heliograph schedule` does.",
    )


@click.command(
    help="Show the signals of a running server: target, handler, and how many were sent, done, failed and are queued.",
    short_help="Show the signals and triggers of a running server.",
)
@server_options
@json_option
@next_option(None)
def signals(verbose: bool, as_json: bool, count: int | None) -> None:
    """Show the signals of a running server: target, handler, and how many were sent, done, failed and are queued."""
    if count is not None:
        _show_schedule(count, as_json=as_json, verbose=verbose)
        return
    with find_server(verbose=verbose) as path:
        state = read_state(path)
    if as_json:
        click.echo(json.dumps(state, indent=2))
        return
    click.echo(headline(state))
    rows = state["signals"]
    columns = [name for name in _COLUMNS if name not in _ONLY_IF_USED or any(row[name] for row in rows)]
    click.echo(table(columns, rows))
    if state["triggers"]:
        click.echo(table(_TRIGGER_COLUMNS, state["triggers"]))
    click.echo(f"{state['queued']} queued, {state['rejected']} sends rejected")


@click.command(
    help="Show the next runs of the timers and cron rules of a running server.",
    short_help="Show the next runs of timers and cron rules.",
)
@server_options
@json_option
@next_option(10)
def schedule(verbose: bool, as_json: bool, count: int) -> None:
    """Show the next runs of the timers and cron rules of a running server."""
    _show_schedule(count, as_json=as_json, verbose=verbose)


def _show_schedule(count: int, *, as_json: bool, verbose: bool) -> None:
    with find_server(verbose=verbose) as path:
        runs = request(path, "schedule", count=count)["runs"]
    if as_json:
        click.echo(json.dumps(runs, indent=2))
        return
    for run in runs:
        at = datetime.fromtimestamp(run["at"]).astimezone()
        click.echo(f"{at:%Y-%m-%d %H:%M:%S %Z}  signal {run['signal']:>3}  {run['name']}")
    if not runs:
        click.echo("No timers or cron rules are scheduled.")


@click.command(
    help="Load the application again and replace all processes. No signal is lost. If the new code does not load, "
    "the server keeps the old code, and the exit code is 1.",
    short_help="Load new code and replace all processes.",
)
@server_options
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait until the new code runs everywhere, or fails to load.",
)
@timeout_option
def reload(verbose: bool, wait: bool, timeout: float) -> None:
    """Load the application again and replace all processes. No signal is lost."""
    with find_server(verbose=verbose) as path:
        try:
            result = request(path, "reload", wait=wait, timeout=timeout if wait else _NO_WAIT_TIMEOUT)
        except RequestFailed as error:
            if error.code == "web_server_failed":
                raise _ReloadFailed(_WEB_SERVER_FAILED.format(error)) from error
            if error.code != "load_failed":
                raise
            raise _ReloadFailed(f"reload failed, keeping the old code: {summary_of(str(error))}") from error
        except RequestTimeout as error:
            raise CommandError(
                f"the reload did not finish within {timeout:g} s. The server continues it. See `heliograph signals`."
            ) from error
    if wait:
        click.echo(f"Reload complete (generation {result['generation']})", err=True)
        if workers := ", ".join(result.get("not_awaited", ())):
            click.echo(_NOT_AWAITED.format(workers), err=True)


@click.command(
    help="Stop a running server. Queued signals are processed first, up to the graceful timeout.",
    short_help="Stop a running server.",
)
@server_options
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the server has stopped.")
@timeout_option
def stop(verbose: bool, wait: bool, timeout: float) -> None:
    """Stop a running server. Queued signals are processed first, up to the graceful timeout."""
    with find_server(verbose=verbose) as path:
        try:
            if wait:
                stop_and_wait(path, timeout)
            else:
                request(path, "stop", wait=False, timeout=_NO_WAIT_TIMEOUT)
        except RequestTimeout as error:
            raise CommandError(
                f"the server did not stop within {timeout:g} s. It continues to stop. Run the command again to stop it "
                "at once."
            ) from error


@click.command(
    "list",
    help="List the running heliograph servers of this user, one name a line. For root: of all users.",
    short_help="List the running servers.",
)
@json_option
def list_servers(as_json: bool) -> None:
    """List the running heliograph servers of this user."""
    try:
        names = running_servers()
    except ConfigError as error:
        raise CommandError(str(error)) from error
    if as_json:
        click.echo(json.dumps(list(names)))
        return
    for name in names:
        click.echo(name)
    if not names:
        click.echo("No server runs.", err=True)


class _ReloadFailed(CommandError):
    exit_code = 1


@contextmanager
def find_server(*, verbose: bool) -> Generator[Path]:
    """Return the control socket of the server that is meant. Errors become those of a command."""
    selected = selection()
    try:
        path = Path(selected.control) if selected.control else find_control_socket(selected.name)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    try:
        yield path
    except ServerNotRunning as error:
        if is_served(path) or selected.control:
            raise CommandError(str(error)) from error
        raise CommandError(_not_running(selected.name) + (f" ({error})" if verbose else "")) from error
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _not_running(name: str | None) -> str:
    where = "for this directory" if name is None else f"with the name {name!r}"
    names = running_servers()
    if names:
        return f"no heliograph server is running {where}. Pass --name with one of those that are: {', '.join(names)}."
    advice = "`heliograph run APP`, or pass --name" if name is None else f"`heliograph run APP --name {name}`"
    return f"no heliograph server is running {where}. Start one with {advice}."


def headline(state: dict[str, Any]) -> str:
    """Return the line that names a server, its processes, and a web server that does not work."""
    processes = (f"{title(process)} {pid}" for process, pid in state["processes"].items())
    parts = [f"{state['name']}: {state['app']}", f"master {state['pid']}", *processes]
    web_server: dict[str, Any] = state.get("web_server") or {}
    if failure := web_server_failure(state):
        parts.append(f"web server restarting ({failure})")
    if web_server and web_server["workers"] < web_server["expected"]:
        parts.append(f"workers {web_server['workers']} of {web_server['expected']}")
    return ", ".join(parts)


def web_server_failure(state: dict[str, Any]) -> str:
    """Return the exit of a web server that does not start. Empty if it works, or if there is none."""
    web_server: dict[str, Any] = state.get("web_server") or {}  # a server of an earlier version does not say
    return web_server.get("failure") or ""


def title(process: str) -> str:
    """Return the name of a process for people."""
    return "web server" if process == "webserver" else process
