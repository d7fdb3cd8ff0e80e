"""The server of the demo: started with `heliograph run`, ended by SIGTERM, its log in the demo's directory."""

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
_PATIENCE = 20.0
"""Seconds that the server may take to end."""


class Server:
    """Two workers, two mules, a farm and a spooler, while the block lasts; all its files are in `directory`."""

    def __init__(self, engine: str, directory: Path) -> None:
        self.socket = directory / "uwsgi.sock"
        self._log = directory / "server.log"
        command = [*_HELIOGRAPH, "run", "examples.demo.app:application", "--engine", engine]
        command += ["--workers", "2", "--mules", "2", "--farm", f"{FARM}=1,2"]
        command += ["--spooler", str(directory / "spool"), "--socket", str(self.socket)]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C reaches the demo, which then ends the server, and the group can be ended
            # as one if the server does not do it itself.
            self.process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                command,
                cwd=_ROOT,
                env={**os.environ, DIRECTORY: str(directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End the server and answer its exit code; again once it has ended."""
        self.process.terminate()
        try:
            return self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    def log(self) -> str:
        """What the server wrote."""
        return self._log.read_text(errors="replace")

    def send_from_outside(self, num: int) -> subprocess.Popen[str]:
        """Let another process raise a signal, with `heliograph send`; who calls waits for its end."""
        command = [*_HELIOGRAPH, "send", str(num), str(self.socket)]
        return subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)  # noqa: S603
