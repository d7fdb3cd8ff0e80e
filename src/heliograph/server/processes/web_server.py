"""The web server's command, in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from heliograph.engines import MASTER_ENV
from heliograph.ipc.prctl import set_parent_death_signal
from heliograph.settings.web_server_command import find_command, search_path

_FIRST_SOCKET = 3
"""Descriptor of the first socket that systemd passes."""
_SET_LISTEN_PID = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
"""Runs a program with its own process id in LISTEN_PID, which is unknown before the fork."""


class WebServerProcess:
    """Starts the command, and kills it with every process that it has started."""

    def __init__(self, command: Sequence[str], control: Path, directory: Path | None = None) -> None:
        """`control` is the path of the control socket, where the command's processes find the master.

        `directory` is entered anew at each start.
        """
        self._directory = directory or Path.cwd()
        self.command = tuple(command)
        self.pid = 0
        self._control = control

    def start(self) -> int:
        """Start the command, and return its process id. Raises: OSError: it cannot be started."""
        own = {"PATH": search_path(), "PWD": str(self._directory), MASTER_ENV: str(self._control)}
        program = find_command(self.command[0]) or self.command[0]  # python finds its virtualenv by this path
        sockets = activated_sockets()
        process = subprocess.Popen(  # noqa: S603 - running this command is the purpose
            (*(_SET_LISTEN_PID if sockets else ()), program, *self.command[1:]),
            cwd=self._directory,
            env={**os.environ, **own},
            pass_fds=sockets,
            process_group=0,
            preexec_fn=partial(set_parent_death_signal, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - the master has no other threads
        )
        process.returncode = 0  # The master reaps its children itself.
        self.pid = process.pid
        return self.pid

    def kill(self) -> None:
        """Kill the whole process group.

        Call it before the command is reaped, also if it has exited: the id of the group cannot be reused until then.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def activated_sockets() -> tuple[int, ...]:
    """Return the descriptors of the sockets that systemd passed to this process, by its socket activation."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return ()
    return tuple(range(_FIRST_SOCKET, _FIRST_SOCKET + int(count)))
