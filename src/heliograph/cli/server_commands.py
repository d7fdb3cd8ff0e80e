"""`heliograph signals`, `schedule`, `reload`, `stop` and `list`: commands for a running heliograph server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

import heliograph
from heliograph.cli.errors import CommandError
from heliograph.cli.tables import table
from heliograph.exceptions import ConfigError
from heliograph.insights import read_state
from heliograph.ipc.control_client import RequestFailed, RequestTimeout, ServerNotRunning, request
from heliograph.ipc.control_sockets import is_served
from heliograph.ipc.instance import find_control_socket, running_servers

_F = TypeVar("_F", bound=Callable[..., object])

_COLUMNS = (
    *("num", "name", "target", "handler", "sent", "done", "failed", "queued", "coalesced"),
    *("redelivered", "dropped"),
)
_ONLY_IF_USED = frozenset({"name", "coalesced"})
"""Columns that the table has only if a row has a value there."""
_TRIGGER_COLUMNS = ("num", "name", "trigger", "fired", "missed")
_MAX_RUNS = 1000
_PACKAGE = f"{Path(heliograph.__file__).parent}/"
_PLACE = re.compile(r'^ *File "(.+?)", line (\d+)', re.MULTILINE)
_CONTROL = "heliograph.control"
"""Key of the path given with --control in the `meta` of click's context."""
_NO_WAIT_TIMEOUT = 10.0
"""Seconds for an answer that the server gives at once."""

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
    name = click.option(
        "--name",
        envvar="HELIOGRAPH_NAME",
        metavar="NAME",
        help="Server name. Default: the server started in this directory.",
    )
    control = click.option(
        "--control",
        envvar="HELIOGRAPH_CONTROL",
        metavar="PATH",
        expose_value=False,
        callback=_keep_control,
        help="Control socket of the server, if it was started with --control.",
    )
    verbose = click.option("-v", "--verbose", is_flag=True, help="Name the control socket in errors.")
    return name(control(verbose(command)))


def _keep_control(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Keep the path for `find_server`. `--name` on the command line wins over the variable."""
    by_variable = ctx.get_parameter_source("control") is ParameterSource.ENVIRONMENT
    by_name = ctx.get_parameter_source("name") is ParameterSource.COMMANDLINE
    ctx.meta[_CONTROL] = Path(value) if value and not (by_variable and by_name) else None


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
def signals(name: str | None, verbose: bool, as_json: bool, count: int | None) -> None:
    """Show the signals of a running server: target, handler, and how many were sent, done, failed and are queued."""
    if count is not None:
        _show_schedule(name, count, as_json=as_json, verbose=verbose)
        return
    with find_server(name, verbose=verbose) as path:
        state = read_state(path)
    if as_json:
        click.echo(json.dumps(state, indent=2))
        return
    processes = ", ".join(f"{title(process)} {pid}" for process, pid in state["processes"].items())
    click.echo(f"{state['name']}: {state['app']}, master {state['pid']}, {processes}")
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
def schedule(name: str | None, verbose: bool, as_json: bool, count: int) -> None:
    """Show the next runs of the timers and cron rules of a running server."""
    _show_schedule(name, count, as_json=as_json, verbose=verbose)


def _show_schedule(name: str | None, count: int, *, as_json: bool, verbose: bool) -> None:
    with find_server(name, verbose=verbose) as path:
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
def reload(name: str | None, verbose: bool, wait: bool, timeout: float) -> None:
    """Load the application again and replace all processes. No signal is lost."""
    with find_server(name, verbose=verbose) as path:
        try:
            result = request(path, "reload", wait=wait, timeout=timeout if wait else _NO_WAIT_TIMEOUT)
        except RequestFailed as error:
            if error.code != "load_failed":
                raise
            raise _ReloadFailed(f"reload failed, keeping the old code: {_failure(str(error))}") from error
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
def stop(name: str | None, verbose: bool, wait: bool, timeout: float) -> None:
    """Stop a running server. Queued signals are processed first, up to the graceful timeout."""
    with find_server(name, verbose=verbose) as path:
        try:
            request(path, "stop", wait=wait, timeout=timeout if wait else _NO_WAIT_TIMEOUT)
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
def find_server(name: str | None, *, verbose: bool) -> Generator[Path]:
    """Return the control socket of the server that is meant. Errors become those of a command."""
    control: Path | None = click.get_current_context().meta.get(_CONTROL)
    try:
        path = control or find_control_socket(name)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    try:
        yield path
    except ServerNotRunning as error:
        if is_served(path) or control:
            raise CommandError(str(error)) from error
        raise CommandError(_not_running(name) + (f" ({error})" if verbose else "")) from error
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _not_running(name: str | None) -> str:
    where = "for this directory" if name is None else f"with the name {name!r}"
    names = running_servers()
    if names:
        return f"no heliograph server is running {where}. Pass --name with one of those that are: {', '.join(names)}."
    advice = "`heliograph run APP`, or pass --name" if name is None else f"`heliograph run APP --name {name}`"
    return f"no heliograph server is running {where}. Start one with {advice}."


def _failure(traceback: str) -> str:
    """Return the exception of a traceback, and the last place in it that is not in heliograph."""
    exception = traceback.strip().rpartition("\n")[2]
    places = [(file, line) for file, line in _PLACE.findall(traceback) if not file.startswith(_PACKAGE)]
    return f"{exception} ({places[-1][0]}, line {places[-1][1]})" if places else exception


def title(process: str) -> str:
    """Return the name of a process for people."""
    return "web server" if process == "webserver" else process
