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
from heliograph.settings.web_server_command import search_path


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
        process = subprocess.Popen(  # noqa: S603 - running this command is the purpose
            self.command,
            cwd=self._directory,
            env={**os.environ, **own},
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
