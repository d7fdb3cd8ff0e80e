"""The server that ours runs beside (gunicorn, say): a command, and all that it starts."""

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
    """Runs a command in a process group of its own. Only the master uses it."""

    def __init__(self, command: Sequence[str], control: Path) -> None:
        """`control` is where the command's processes find the master."""
        self.command = tuple(command)
        self.pid = 0
        self._control = control

    def start(self) -> int:
        """Start it; its process id. Raises `OSError` if that cannot be."""
        env = {**os.environ, "PATH": search_path(), MASTER_ENV: str(self._control)}
        process = subprocess.Popen(  # noqa: S603 - it is what we were asked for
            self.command,
            env=env,
            process_group=0,
            preexec_fn=partial(set_parent_death_signal, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - the master has no other threads
        )
        process.returncode = 0  # the master reaps its children itself
        self.pid = process.pid
        return self.pid

    def kill(self) -> None:
        """End all of it now. Also for what it left behind, while its own end is not reaped yet: the id is taken."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
