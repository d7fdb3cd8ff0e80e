"""The programs that the master of a server starts: the web server, the commands of its user, and its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from heliograph._core.supervision.children import RELOADING_WEB_COMMAND, WEB_COMMAND, WEB_SERVER, Policy, command_policy
from heliograph.ipc.inherited import SETTLE_ENV
from heliograph.ipc.instance import working_directory
from heliograph.models import Identity
from heliograph.reloading.options import OPTIONS_ENV, ReloaderOptions
from heliograph.server.inheritance import task_environment
from heliograph.server.processes.command import CommandProcess
from heliograph.server.processes.command_guard import CommandGuard
from heliograph.server.processes.web_server import WebServerProcess
from heliograph.server.status_page import MODULE, NAME, page_arguments
from heliograph.settings.commands import ALWAYS, HANG_UP, LEAVE, NEVER, ON_FAILURE, RESTART, Command
from heliograph.settings.options import ServerSettings
from heliograph.settings.web_reload import reloads_itself

_RESTART: dict[str, Literal["always", "on_failure", "never"]] = {
    ALWAYS: "always",
    ON_FAILURE: "on_failure",
    NEVER: "never",
}
_RELOAD: dict[str, Literal["replace", "hang_up", "leave"]] = {RESTART: "replace", HANG_UP: "hang_up", LEAVE: "leave"}


def further_commands(settings: ServerSettings) -> tuple[Command, ...]:
    """Return all commands besides the web server."""
    return (*settings.commands, *_built_in(settings))


def policies(settings: ServerSettings) -> dict[Identity, Policy]:
    """Return the policy of each command."""
    web_command = RELOADING_WEB_COMMAND if _web_server_reloads(settings) else WEB_COMMAND
    web_server = {WEB_SERVER: web_command} if settings.command else {}
    others = {
        identity_of(command): command_policy(_RESTART[command.restart], _RELOAD[command.reload])
        for command in further_commands(settings)
    }
    return {**web_server, **others}


class Commands:
    """The commands of a server as processes."""

    def __init__(self, settings: ServerSettings, control: Path, directory: Path) -> None:
        """`control` is the control socket of the master, and `directory` its working directory."""
        environment, self._guard = task_environment(settings), CommandGuard()
        self._processes: dict[Identity, CommandProcess] = {}
        if settings.command:
            own = {SETTLE_ENV: "1"} if _web_server_reloads(settings) else {}
            self._processes[WEB_SERVER] = WebServerProcess(settings.command, control, directory, {**environment, **own})
        for command in further_commands(settings):
            process = CommandProcess(command, control, directory, environment, self._guard)
            self._processes[identity_of(command)] = process

    def __getitem__(self, process: Identity) -> CommandProcess:
        return self._processes[process]

    def __contains__(self, process: Identity) -> bool:
        return process in self._processes

    def find(self, pid: int) -> Identity | None:
        """Return the command that has this process id."""
        return next((process for process, command in self._processes.items() if command.pid == pid), None)

    def pids(self) -> tuple[int, ...]:
        """Return the process ids of the commands that run."""
        return tuple(command.pid for command in self._processes.values() if command.pid)

    def close(self, spared: Collection[int]) -> None:
        """Kill all that are left. `spared` are the other processes of the server."""
        for command in self._processes.values():
            if command.pid:
                command.kill((*spared, *self.pids()))
        self._guard.close()


def identity_of(command: Command) -> Identity:
    """Return the identity of a command besides the web server."""
    return Identity("command", name=command.name)


def _web_server_reloads(settings: ServerSettings) -> bool:
    """Return True if both the web server and the server reload when files change."""
    return settings.reload and reloads_itself(settings.command, os.environ)


def _built_in(settings: ServerSettings) -> Iterator[Command]:
    """Yield the commands that options of the server add, made with `python_module`.

    `settings.commands.BUILT_IN` has their names, which a user cannot take.
    """
    if arguments := page_arguments(settings):
        yield python_module(NAME, MODULE, *arguments)
    if settings.reload:
        options = ReloaderOptions(
            tuple(map(str, settings.reload_dirs)) or (str(working_directory()),),
            ("*.py", *settings.reload_include),
            settings.log_level,
            str(settings.log_config or ""),
        )
        yield python_module("reloader", "heliograph.reloading", environment={OPTIONS_ENV: options.to_json()})


def python_module(
    name: str, module: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Command:
    """Return a command that runs a module of heliograph with this Python, whatever the working directory holds.

    A reload leaves it alone.
    """
    argv = (sys.executable, "-P", "-m", module, *arguments)
    return Command(name, argv, reload=LEAVE, environment=environment)
