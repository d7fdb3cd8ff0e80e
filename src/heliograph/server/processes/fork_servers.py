"""The fork servers as the master sees them: it starts them, commands them, and reads the triggers that they leave."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from heliograph.ipc.inherited import INHERITED_ENV, InheritedState
from heliograph.models import Identity


class MakeInherited(Protocol):
    """Makes the state that the fork server of a generation inherits."""

    def __call__(self, generation: int, *, commands: int, triggers: int) -> InheritedState: ...


@dataclass(slots=True)
class _ForkServer:
    process: subprocess.Popen[bytes]
    commands: int | None
    """Descriptor for commands. None once the fork server has to exit."""
    triggers: int
    """Descriptor of the file in which the fork server leaves the triggers that the application registers."""


class ForkServers:
    """At most one fork server per generation. The master reaps them, and reports their exits here."""

    def __init__(self, inherited: MakeInherited) -> None:
        self._inherited = inherited
        self._servers: dict[int, _ForkServer] = {}

    def start(self, generation: int) -> None:
        """Start a fork server, which loads the application. Raises: OSError: no process or descriptor is available."""
        with ExitStack() as inherited_only, ExitStack() as kept:
            read, write = os.pipe2(os.O_CLOEXEC)
            inherited_only.callback(os.close, read)
            kept.callback(os.close, write)
            triggers = os.memfd_create("heliograph-triggers", os.MFD_CLOEXEC)
            kept.callback(os.close, triggers)
            inherited = self._inherited(generation, commands=read, triggers=triggers)
            process = subprocess.Popen(
                [sys.executable, "-m", "heliograph.server.processes.fork_server"],
                env={**os.environ, INHERITED_ENV: inherited.to_json()},
                pass_fds=tuple(inherited.descriptors.values()),
            )
            kept.pop_all()
        self._servers[generation] = _ForkServer(process, write, triggers)

    def fork(self, generation: int, identity: Identity) -> None:
        """Tell a fork server to fork a process."""
        commands = self._servers[generation].commands
        assert commands is not None
        with contextlib.suppress(BrokenPipeError):  # It has exited, and SIGCHLD reports that.
            os.write(commands, f"{identity.role} {identity.number}\n".encode())

    def triggers(self, generation: int) -> str:
        """Return the triggers that the application of a fork server has registered, as JSON."""
        fd = self._servers[generation].triggers
        return os.pread(fd, os.fstat(fd).st_size, 0).decode()

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
                os.close(self._servers.pop(generation).triggers)
                return generation
        return None

    def close(self) -> None:
        """Kill and reap all that are left."""
        for generation, server in list(self._servers.items()):
            self.kill(generation)
            self.forget(server.process.pid, server.process.wait())
