"""`heliograph signals`, `reload`, `stop`: what to do with a server of our own that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from heliograph.cli.errors import CommandError
from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import ServerNotRunning, request
from heliograph.ipc.instance import control_socket, running_servers, server_name

_COLUMNS = ("num", "name", "target", "handler", "sent", "done", "failed", "queued", "redelivered", "dropped")
_WITHOUT_NAMES = tuple(column for column in _COLUMNS if column != "name")
_TRIGGER_COLUMNS = ("num", "name", "trigger", "fired", "missed")
_TEXTS = frozenset({"target", "handler", "name", "trigger"})

name_option = click.option(
    "--name",
    envvar="HELIOGRAPH_NAME",
    metavar="NAME",
    help="Of the server; without it, the one that was started in this directory.",
)


@click.command(
    help="Show the signals of a running server: target, handler, and how many were sent, done, failed and are queued.",
    short_help="Show signals and their counters.",
)
@name_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--next", "runs", type=click.IntRange(min=1), metavar="N", help="The next N runs of timers and cron rules."
)
def signals(name: str | None, as_json: bool, runs: int | None) -> None:
    """Show a running server's signals: target, handler, and how many were sent, done, failed and are waiting."""
    if runs is not None:
        _show_next(name, runs, as_json=as_json)
        return
    state = _ask(name, "signals")
    if as_json:
        click.echo(json.dumps(state, indent=2))
        return
    processes = ", ".join(f"{_title(process)} {pid}" for process, pid in state["processes"].items())
    click.echo(f"{state['name']}: {state['app']}, master {state['pid']}, {processes}")
    named = any(row["name"] for row in state["signals"])
    click.echo(_table(_COLUMNS if named else _WITHOUT_NAMES, state["signals"]))
    if state["triggers"]:
        click.echo(_table(_TRIGGER_COLUMNS, state["triggers"]))
    click.echo(f"{state['queued']} queued, {state['rejected']} sends rejected")


def _show_next(name: str | None, count: int, *, as_json: bool) -> None:
    upcoming = _ask(name, "next", count=count)["next"]
    if as_json:
        click.echo(json.dumps(upcoming, indent=2))
        return
    for when, trigger, num in upcoming:
        click.echo(f"{datetime.fromtimestamp(when).astimezone():%Y-%m-%d %H:%M:%S %Z}  signal {num:>3}  {trigger}")
    if not upcoming:
        click.echo("nothing is scheduled")


@click.command(
    help="Load the application again and replace all processes. No signal is lost. If the new code does not load, the "
    "old code keeps running and the exit code is 1.",
    short_help="Load the application again.",
)
@name_option
@click.option("--wait/--no-wait", default=True, help="Until the new code serves everywhere, or was given up.")
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="S", help="Seconds to wait.")
def reload(name: str | None, wait: bool, timeout: float) -> None:
    """Load the application again and replace all processes, losing no signal.

    If the new code does not load, the old goes on serving: exit code 1.
    """
    before = _ask(name, "signals")["generation"]
    _ask(name, "reload")
    if not wait:
        return
    state = _await(name, timeout, lambda state: not state["loading"] and state["complete"])
    if state["generation"] == before:
        raise _GivenUp("the new code does not load, the old goes on serving; the server's log says why")
    click.echo(f"reloaded: {state['app']}, generation {state['generation']}", err=True)


@click.command(
    help="Stop a running server. It processes the queued signals first, within the graceful timeout.",
    short_help="Stop a server.",
)
@name_option
@click.option("--wait/--no-wait", default=True, help="Until the server has ended.")
@click.option("--timeout", type=float, default=60.0, show_default=True, metavar="S", help="Seconds to wait.")
def stop(name: str | None, wait: bool, timeout: float) -> None:
    """End a running server: what waits is handled first, within its mercy."""
    path = _path(name)
    before = _inode(path)
    _ask(name, "stop")
    deadline = time.monotonic() + timeout
    # A program that served may go on, and another server may take the name at once: the socket tells.
    while wait and before is not None and _inode(path) == before:
        if time.monotonic() > deadline:
            raise CommandError(f"the server has not ended within {timeout:g} s; it goes on trying")
        time.sleep(0.02)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


class _GivenUp(CommandError):
    exit_code = 1


def _await(name: str | None, timeout: float, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while True:
        state = _ask(name, "signals")
        if done(state):
            return state
        if time.monotonic() > deadline:
            raise CommandError(f"not finished within {timeout:g} s; the server goes on, see `heliograph signals`")
        time.sleep(0.02)


def _ask(name: str | None, do: str, **details: int) -> dict[str, Any]:
    try:
        return request(_path(name), {"do": do, **details})
    except ServerNotRunning as error:
        raise CommandError(f"{error}; {_who_is_there()}") from error
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _who_is_there() -> str:
    names = running_servers()
    if not names:
        return "none of your servers runs here: heliograph run APP starts one, with --name if you like"
    return f"running are: {', '.join(names)}; choose with --name, or go to the directory that it was started in"


def _path(name: str | None) -> Path:
    try:
        return control_socket(server_name(name, Path.cwd()))
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [list(columns), *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in _TEXTS else cell.rjust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def _title(process: str) -> str:
    return "web server" if process == "webserver" else process
