"""`heliograph run --print-plan`: the processes, sockets and directories of a server that is not started."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from heliograph.cli import uwsgi_server
from heliograph.cli.files import Files
from heliograph.ipc.instance import control_socket, server_name, working_directory
from heliograph.ipc.state_directory import state_directory, store_directory
from heliograph.models import Topology
from heliograph.server.commands import further_commands
from heliograph.server.processes.web_server import activated_sockets
from heliograph.settings.commands import Command
from heliograph.settings.option_row import UWSGI
from heliograph.settings.options import ServerSettings
from heliograph.settings.web_server_command import find_command

Row = tuple[str, str]


def plan(settings: ServerSettings, files: Files) -> list[str]:
    """Return what the server would consist of, in aligned lines.

    Raises:
        ConfigError: uWSGI is not installed, or the working directory has been deleted.
    """
    rows = [
        ("engine", settings.engine),
        ("directory", str(working_directory())),
        ("configuration", files.config.label if files.config else "none"),
        *([("file of variables", files.env_file)] if files.env_file else []),
        ("application", str(settings.app)),
        *(_uwsgi(settings) if settings.engine == UWSGI else _local(settings)),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {value}" for name, value in rows]


def _local(settings: ServerSettings) -> Iterator[Row]:
    name = server_name(settings.name or None, working_directory())
    once = "imports the application in a child, to check it" if settings.lazy_apps else "imports the application once"
    yield "master", name
    yield "fork server", once
    if settings.command:
        yield "web server", shlex.join(settings.command)
        yield "web server file", str(find_command(settings.command[0]))
    yield from map(_command, further_commands(settings))
    yield from _processes(settings.topology, of_web_server=bool(settings.command))
    yield "control socket", str(settings.control or control_socket(name))
    yield "external signals", str(settings.listen) if settings.listen else "no socket"
    if settings.http_status is not None:
        changes = "only reads" if settings.http_token_file is None else f"token in {settings.http_token_file}"
        yield "status page", f"{settings.http_status} ({changes})"
    if passed_on := activated_sockets():
        yield "passed on", f"{len(passed_on)} sockets of systemd, to the web server"
    yield "tasks", _store(store_directory(name, settings.spooler))
    yield "last runs", str(state_directory() / f"{name}.json")


def _command(command: Command) -> Row:
    directory = f", in {command.directory}" if command.directory != Path() else ""
    return (
        f"command {command.name}",
        f"{shlex.join(command.argv)} (restart {command.restart}, reload {command.reload}{directory})",
    )


def _uwsgi(settings: ServerSettings) -> Iterator[Row]:
    server = uwsgi_server.find()
    # A server without an address gets a socket that no program can reach, when it starts.
    idle = [] if settings.http or settings.listen else ["--socket", "fd://N"]
    arguments = uwsgi_server.arguments(settings, str(Path.cwd()))
    yield "command", shlex.join([*server.command, *server.flags, *arguments, *idle])
    yield from _processes(settings.topology, of_web_server=False)
    yield "HTTP", str(settings.http) if settings.http else "no socket"
    yield "external signals", str(settings.listen) if settings.listen else "no socket"
    if settings.spooler is not None:
        yield "tasks", _store(store_directory("", settings.spooler))


def _processes(topology: Topology, *, of_web_server: bool) -> Iterator[Row]:
    number = str(topology.workers)
    if topology.min_workers is not None:
        number = f"{topology.min_workers} to {topology.workers}"
    yield "workers", f"{number} of the web server" if of_web_server else number
    yield "mules", str(topology.mules)
    for farm in topology.farms:
        yield f"farm {farm.name}", f"mules {', '.join(map(str, farm.mules))}"
    yield "spoolers", str(topology.spoolers)


def _store(directory: Path) -> str:
    return f"{directory}" if directory.is_dir() else f"{directory} (to be created)"
