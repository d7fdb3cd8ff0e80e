"""The processes that load the application and fork the others, as the master has them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from heliograph.ipc.inherited import INHERITED_ENV, InheritedState
from heliograph.models import Identity


class MakeInherited(Protocol):
    """Make the state that the fork server of a generation inherits."""

    def __call__(self, generation: int, *, commands: int, triggers: int) -> InheritedState: ...


@dataclass(slots=True)
class _ForkServer:
    process: subprocess.Popen[bytes]
    commands: int | None
    """Descriptor to tell it whom to fork; None once it is to end."""
    triggers: int
    """Descriptor of the file that it leaves its application's sources in."""


class ForkServers:
    """One a generation. The master reaps them, and says so."""

    def __init__(self, inherited: MakeInherited) -> None:
        self._inherited = inherited
        self._templates: dict[int, _ForkServer] = {}

    def __iter__(self) -> Iterator[int]:
        """Their process ids."""
        return iter([template.process.pid for template in self._templates.values()])

    def start(self, generation: int) -> None:
        """Start the one that loads the application anew."""
        read, write = os.pipe2(os.O_CLOEXEC)
        triggers = os.memfd_create("heliograph-sources", os.MFD_CLOEXEC)
        inherited = self._inherited(generation, commands=read, triggers=triggers)
        env = {**os.environ, INHERITED_ENV: inherited.to_json()}
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph.server.processes.fork_server"],
            env=env,
            pass_fds=tuple(inherited.descriptors.values()),
        )
        os.close(read)
        self._templates[generation] = _ForkServer(process, write, triggers)

    def fork(self, generation: int, identity: Identity) -> None:
        """Have it fork that process."""
        commands = self._templates[generation].commands
        assert commands is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and SIGCHLD says so
            os.write(commands, f"{identity.role} {identity.number}\n".encode())

    def triggers(self, generation: int) -> str:
        """What its application declared, as text."""
        fd = self._templates[generation].triggers
        return os.pread(fd, os.fstat(fd).st_size, 0).decode()

    def end(self, generation: int) -> None:
        """Let it end: it does when it cannot be commanded any more."""
        template = self._templates.get(generation)
        if template is not None and template.commands is not None:
            os.close(template.commands)
            template.commands = None

    def exited(self, pid: int, code: int) -> int | None:
        """A child has ended with that code: the generation if it was a template, which is forgotten then."""
        for generation, template in self._templates.items():
            if template.process.pid == pid:
                template.process.returncode = code
                self.end(generation)
                os.close(self._templates.pop(generation).triggers)
                return generation
        return None

    def end_all(self) -> None:
        """Let all of them end."""
        for generation in self._templates:
            self.end(generation)

    def close(self) -> None:
        """Forget what is left, once all have ended."""
        for template in self._templates.values():
            os.close(template.triggers)
        self._templates.clear()
