"""The fork servers as the master sees them: it starts them, commands them, and reads the triggers that they leave."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from heliograph.ipc.inherited import INHERITED_ENV, InheritedState
from heliograph.ipc.stack_files import make_stack_file
from heliograph.ipc.state_directory import MAX_BYTES_ENV
from heliograph.models import Identity
from heliograph.server.processes.child_environment import child_environment

_LOG = logging.getLogger("heliograph.master")

EXIT_TIMEOUT = 3.0
"""Seconds that a fork server has at the end of a stop, to run the exit functions of the application."""
_SLOW_LOAD = (
    "Still loading the application after %.3g s (generation %d, fork server pid %d). Request another reload to load it "
    "anew, or kill this process"
)
_TOO_SLOW = "Fork server of generation %d (pid %d) did not exit within %g s, killing it"


_PROGRAM = """\
import sys
sys.path[:] = {path!r}
from heliograph.server.processes.fork_server import main
main()
"""
"""Program of a fork server. No module in the working directory can hide one that heliograph imports."""


class MakeInherited(Protocol):
    """Makes the state that the fork server of a generation inherits."""

    def __call__(self, generation: int, *, commands: int, triggers: int, stack: int) -> InheritedState: ...


@dataclass(slots=True)
class _ForkServer:
    process: subprocess.Popen[bytes]
    commands: int | None
    """Descriptor for commands. None once the fork server has to exit."""
    triggers: int
    """Descriptor of the file in which the fork server leaves the triggers that the application registers."""
    stack: int
    """Descriptor of the file to which the fork server writes the stacks of its threads."""
    loaded: bool = False
    """True if it has loaded the application, whose exit functions it must then run."""


class ForkServers:
    """At most one fork server per generation. The master reaps them, and reports their exits here."""

    def __init__(self, inherited: MakeInherited, directory: Path | None = None) -> None:
        """`directory` is entered anew for each fork server, since it may be a link to the newest release."""
        self._inherited = inherited
        self._directory = directory or Path.cwd()
        here = {"", str(self._directory), str(self._directory.resolve())}
        self._import_path = [entry for entry in sys.path if entry not in here]
        self._servers: dict[int, _ForkServer] = {}

    def start(self, generation: int) -> None:
        """Start a fork server, which loads the application. Raises: OSError: no process or descriptor is available."""
        with ExitStack() as inherited_only, ExitStack() as kept:
            read, write = os.pipe2(os.O_CLOEXEC)
            inherited_only.callback(os.close, read)
            kept.callback(os.close, write)
            triggers = os.memfd_create("heliograph-triggers", os.MFD_CLOEXEC)
            kept.callback(os.close, triggers)
            stack = make_stack_file()
            kept.callback(os.close, stack)
            inherited = self._inherited(generation, commands=read, triggers=triggers, stack=stack)
            process = subprocess.Popen(  # noqa: S603 - this interpreter, with its own options
                [sys.executable, *_interpreter_flags(), "-c", _PROGRAM.format(path=self._import_path)],
                cwd=self._directory,
                env={
                    **child_environment(),
                    "PWD": str(self._directory),
                    INHERITED_ENV: inherited.to_json(),
                    MAX_BYTES_ENV: str(inherited.settings.task_bytes),
                },
                pass_fds=tuple(inherited.descriptors.values()),
            )
            kept.pop_all()
        self._servers[generation] = _ForkServer(process, write, triggers, stack)

    def fork(self, generation: int, identity: Identity) -> None:
        """Tell a fork server to fork a process."""
        commands = self._servers[generation].commands
        assert commands is not None
        with contextlib.suppress(BrokenPipeError):  # It has exited, and SIGCHLD reports that.
            os.write(commands, f"{identity.role} {identity.number}\n".encode())

    def triggers(self, generation: int) -> str:
        """Return the triggers that the application of a fork server has registered, as JSON."""
        self._servers[generation].loaded = True
        fd = self._servers[generation].triggers
        return os.pread(fd, os.fstat(fd).st_size, 0).decode()

    def log_slow(self, generation: int, seconds: float) -> None:
        """Log that a fork server has been loading the application for some time."""
        if (server := self._servers.get(generation)) is not None:
            _LOG.warning(_SLOW_LOAD, seconds, generation, server.process.pid)

    def pids(self) -> tuple[int, ...]:
        """Return the process ids of the fork servers."""
        return tuple(server.process.pid for server in self._servers.values())

    def stack_files(self) -> dict[int, tuple[int, int]]:
        """Return process id and descriptor for stacks of each fork server, by generation."""
        return {generation: (server.process.pid, server.stack) for generation, server in self._servers.items()}

    def stop(self, generation: int) -> None:
        """Tell a fork server to exit. It exits when it reads the end of the pipe for commands."""
        server = self._servers.get(generation)
        if server is not None and server.commands is not None:
            os.close(server.commands)
            server.commands = None

    def kill(self, generation: int) -> None:
        """Kill a fork server."""
        server = self._servers.get(generation)
        if server is not None:
            os.kill(server.process.pid, signal.SIGKILL)

    def forget(self, pid: int, code: int) -> int | None:
        """Return the generation if a fork server with that process id was reaped, and close its descriptors."""
        for generation, server in self._servers.items():
            if server.process.pid == pid:
                server.process.returncode = code
                self.stop(generation)
                del self._servers[generation]
                os.close(server.triggers)
                os.close(server.stack)
                return generation
        return None

    def close(self) -> None:
        """Stop and reap all that are left. Kill those that do not exit, or have not loaded the application."""
        until = time.monotonic() + EXIT_TIMEOUT
        for generation in self._servers:
            self.stop(generation)
        for generation, server in list(self._servers.items()):
            try:
                server.process.wait(max(0.0, until - time.monotonic()) if server.loaded else 0.0)
            except subprocess.TimeoutExpired:
                if server.loaded:
                    _LOG.warning(_TOO_SLOW, generation, server.process.pid, EXIT_TIMEOUT)
                self.kill(generation)
            self.forget(server.process.pid, server.process.wait())


def _interpreter_flags() -> list[str]:
    """Return the options of this interpreter, such as `-O`, for another one."""
    flags: list[str] = cast("Any", subprocess)._args_from_interpreter_flags()  # noqa: SLF001
    for name, value in sys._xoptions.items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the only place of -X
        text = name if value is True else f"{name}={value}"
        if text not in flags:
            flags += ["-X", text]
    return flags
