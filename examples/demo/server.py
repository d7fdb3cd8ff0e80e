"""Start the server of the demo with `heliograph run`, kill it, and stop it with SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from .app import DIRECTORY
from .cases import FARM

_ROOT = Path(__file__).parents[2]
_HELIOGRAPH = (sys.executable, "-m", "heliograph")
SPOOL = "spool"
"""Name of the directory with the tasks."""
_STOP_TIMEOUT = 20.0
"""Seconds to wait for the server to exit."""


class Server:
    """A server with two workers, two mules, a farm and a spooler. The end of the block stops it.

    All its files are in `directory`.
    """

    def __init__(self, engine: str, directory: Path) -> None:
        self.socket = directory / "uwsgi.sock"
        self._log = directory / "server.log"
        self._command = [*_HELIOGRAPH, "run", "examples.demo.app:application", "--engine", engine]
        self._command += ["--workers", "2", "--mules", "2", "--farm", f"{FARM}=1,2"]
        self._command += ["--spooler", str(directory / SPOOL), "--socket", str(self.socket)]
        self._environment = {**os.environ, DIRECTORY: str(directory)}
        self.start()

    def start(self) -> None:
        """Start the server."""
        with self._log.open("ab") as log:
            # In its own session, Ctrl-C does not reach the server, so the demo stops it. If the server does not exit,
            # the demo kills its process group.
            self.process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._command,
                cwd=_ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill all processes of the server, the master included, with SIGKILL."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop the server and return its exit code. Later calls return it again."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def log(self) -> str:
        """Return the log of the server."""
        return self._log.read_text(errors="replace")

    def send_from_outside(self, num: int) -> subprocess.Popen[str]:
        """Start `heliograph send` in another process. The caller must wait for it."""
        command = [*_HELIOGRAPH, "send", str(num), str(self.socket)]
        return subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)  # noqa: S603
