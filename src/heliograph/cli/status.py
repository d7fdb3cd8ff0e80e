"""`heliograph status`: the server, and its tasks with their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from heliograph._core.units import size
from heliograph.cli.errors import CommandError, Rejected
from heliograph.cli.server_commands import headline as server_line
from heliograph.cli.server_commands import json_option, web_server_failure
from heliograph.cli.tasks.finding import check_access, find_directory, now, place, store_options, using
from heliograph.cli.tasks.listing import headline, notes
from heliograph.engines.left_tasks import LeftTasks, find_left_tasks, left_tasks_text
from heliograph.exceptions import ConfigError
from heliograph.insights import read_state
from heliograph.ipc.control_client import ServerNotRunning
from heliograph.ipc.instance import find_control_socket
from heliograph.ipc.store_directory import has_store

_NOT_SERVING = (
    "the web server does not start: {}. Its last lines are in the log of the server. Correct the code, and run "
    "`heliograph reload`."
)

_LARGE_LOG = 64 << 20
"""Bytes of a write-ahead log that has not been shrunk for long."""


@click.command(
    help="Show whether the server runs, its processes, the numbers of its signals and tasks, and the files of the "
    "tasks with the version of SQLite. It works without a server, too: the exit code is 1 then.",
    short_help="Show the state of a server and its tasks.",
)
@store_options
@json_option
def status(as_json: bool) -> None:
    """Show the state of a server and its tasks."""
    server = _server()
    directory = Path(server["tasks"]) if server is not None and "tasks" in server else find_directory()
    check_access(directory)
    tasks = _tasks(directory) if has_store(directory) else None
    left = find_left_tasks(directory)
    if as_json:
        shown = None if left is None else {"directory": str(left.directory), "count": left.count}
        click.echo(json.dumps({"server": server, "tasks": tasks, "left_tasks": shown}, indent=2))
    else:
        for line in [*_server_lines(server), *_task_lines(tasks, directory), *_left_lines(left, directory)]:
            click.echo(line)
    if server is not None and (failure := web_server_failure(server)):
        raise Rejected(_NOT_SERVING.format(failure))
    if server is not None and (fault := server.get("tasks_fault")):
        raise Rejected(f"{fault[0].lower()}{fault[1:]}.")
    if server is None and (tasks is None or tasks["server"] is None):
        raise Rejected("no server runs. Start one with `heliograph run APP`, or pass --name or --control.")


def _server() -> dict[str, Any] | None:
    found = place()
    try:
        return read_state(Path(found.control) if found.control else find_control_socket(found.name))
    except ServerNotRunning:
        return None
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _tasks(directory: Path) -> dict[str, Any]:
    from heliograph.insights.tasks import StoreView  # noqa: PLC0415 - it needs msgspec

    with using(directory) as opened:
        facts = dict(opened.store.facts())
        del facts["sync"]  # that of this command
        return {**facts, "server": opened.server, **StoreView(opened.store, now()).state()}


def _server_lines(server: dict[str, Any] | None) -> list[str]:
    if server is None:
        return []
    return [
        server_line(server),
        f"signals: {server['queued']} queued, {server['rejected']} sends rejected",
    ]


def _left_lines(left: LeftTasks | None, directory: Path) -> list[str]:
    return [] if left is None else [left_tasks_text(left, directory)]


def _task_lines(tasks: dict[str, Any] | None, directory: Path) -> list[str]:
    if tasks is None:
        return [f"tasks: none are stored in {directory}"]
    log = f"write-ahead log {size(tasks['log_bytes'])}"
    if tasks["log_bytes"] > _LARGE_LOG:
        log += " (a program that reads the file keeps it from being shrunk)"
    lines = [f"tasks in {headline(tasks, tasks['directory'])}", *notes(tasks)]
    if tasks["server"] is not None:
        lines.append(f"run by the server {tasks['server']}")
    lines.append(f"files: {size(tasks['bytes'])}, {log}")
    lines.append(f"warning: {tasks['warning']}" if tasks["warning"] else f"SQLite {tasks['sqlite']}")
    return lines
