"""A program that the master starts: its process group, its environment, and its end with all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from heliograph.engines import MASTER_ENV
from heliograph.ipc.inherited import COMMAND_ENV
from heliograph.ipc.prctl import set_parent_death_signal
from heliograph.server.processes.child_environment import child_environment
from heliograph.server.processes.command_guard import CommandGuard
from heliograph.settings.commands import Command
from heliograph.settings.web_server_command import find_command, search_path


class CommandProcess:
    """Starts a command, and ends it with every process that it has started.

    It has a session of its own without a terminal: Ctrl-C reaches the master only, which stops the command in its turn.
    Its standard input is a pipe that stays open as long as the master runs. Some watchers of source files exit at its
    end.
    """

    def __init__(
        self,
        command: Command,
        control: Path,
        directory: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        guard: CommandGuard | None = None,
    ) -> None:
        """`control` is the path of the control socket, where the command's processes find the master.

        `directory` is the working directory of the server, which is entered anew at each start. `environment` has
        variables for all commands. `guard` ends the command after a master that is killed.
        """
        self._guard = guard
        self.command = command
        self.pid = 0
        self._directory = (directory or Path.cwd()) / command.directory
        self._environment = {**environment, MASTER_ENV: str(control)}
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> int:
        """Start the command, and return its process id. Raises: OSError: it cannot be started."""
        program, *arguments = self.command.argv
        process: subprocess.Popen[Any] = subprocess.Popen(  # noqa: S603 - running this command is the purpose
            # python finds its virtualenv by this path
            (*self._prefix(), find_command(program) or program, *arguments),
            cwd=self._directory,
            env=self._variables(),
            preexec_fn=partial(set_parent_death_signal, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - the master has no other threads
            **self._options(),
        )
        process.returncode = 0  # The master reaps its children itself.
        self.pid, self._process = process.pid, process
        if self._guard is not None:
            self._guard.watch(self.pid)
        return self.pid

    def drain(self) -> None:
        """Send SIGTERM to the command and to the processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)

    def kill(self, spared: Collection[int] = ()) -> None:
        """Kill the command and all processes that it has started.

        Call it before the command is reaped, also if it has exited: the id of its group cannot be reused until then.
        `spared` are the other processes of the server, which may be in the same group.
        """
        del spared
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """Record that the command was reaped."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self._guard is not None:
            self._guard.forget(self.pid)
        self.pid, self._process = 0, None

    def _variables(self) -> dict[str, str]:
        """Return the environment of the command."""
        own = {"PATH": search_path(), "PWD": str(self._directory), COMMAND_ENV: self.command.name}
        return {**child_environment(), **self._environment, **own, **self.command.environment}

    def _prefix(self) -> tuple[str, ...]:
        """Return the command that runs the command, if it needs one."""
        return ()

    def _options(self) -> dict[str, Any]:
        """Return options of `Popen`."""
        return {"start_new_session": True, "stdin": subprocess.PIPE, "pass_fds": self.command.descriptors}
