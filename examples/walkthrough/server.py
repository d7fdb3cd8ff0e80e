"""A web example that runs beside a heliograph server, and writes to a directory that is thrown away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds that anything may take."""


class ExampleServer:
    """Runs while the block lasts. Its log is the file `log` in its directory."""

    def __init__(self, directory: Path, where: Path) -> None:
        """It writes to the one, and is started in the other."""
        self.directory = directory
        self._where = where
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self.stop()
        if kind is not None:
            print(f"\nThe log:\n{self.log}", file=sys.stderr)

    @property
    def address(self) -> str:
        """Of its pages."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> str:
        """What the server, its processes and the application wrote."""
        return (self.directory / "log").read_text(errors="replace")

    def run(self, command: Sequence[str]) -> None:
        """Run a Python program to its end."""
        if self._start(command).wait(PATIENCE):
            raise RuntimeError(f"{' '.join(command)} failed")

    def start(self, command: Sequence[str]) -> None:
        """Start the server, and return when it is ready; PORT in the command is replaced."""
        self._process = self._start([word.replace("PORT", str(self._port)) for word in command])
        self.until("that it is ready", lambda: "ready: " in self.log)

    def ask(self, method: str, path: str) -> None:
        """One request; it and its answer are shown."""
        request = urllib.request.Request(self.address + path, method=method)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
            print(f"{method:<4} {path:<16} {response.status} {response.read().decode().strip()}")

    def until_said(self, *lines: str) -> None:
        """Return when lines that begin so are in the log; they are shown."""
        self.until(", ".join(lines), lambda: all(f"\n{line}" in self.log for line in lines))
        print(*(line for line in self.log.splitlines() if line.startswith(lines)), sep="\n")

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Return when it is so. Raises `TimeoutError` if that does not come, or the server has ended."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                raise TimeoutError(f"not seen: {what}")
            time.sleep(0.02)

    def stop(self) -> int:
        """End it, and answer its exit code; again once it has ended."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        print("$ python", *command)
        with (self.directory / "log").open("ab") as log:
            # A session of its own: Ctrl-C reaches the tour, which then ends the site.
            return subprocess.Popen(  # noqa: S603 - our own command, no shell
                [sys.executable, *command],
                cwd=self._where,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """Whatever the example writes, and where its server is found, is in our directory."""
        ours = ("SHOP_DIRECTORY", "SITE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
        stock = {"STOCK_DIRECTORY": str(self.directory / "stock")}
        return {**os.environ, **dict.fromkeys(ours, str(self.directory)), **stock}


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
