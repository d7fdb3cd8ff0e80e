"""Run a web example with heliograph. It writes to a temporary directory."""

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
TIMEOUT = 30.0
"""Time limit of every step in seconds."""


class ExampleServer:
    """A web example. The end of the block stops it. Its log is the file `log` in `directory`."""

    def __init__(self, directory: Path, working_directory: Path) -> None:
        """Set up an example that writes to `directory`. Its commands run in `working_directory`."""
        self.directory = directory
        self._working_directory = working_directory
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
        """URL of the example, without a path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> str:
        """Log of the server and the application."""
        return (self.directory / "log").read_text(errors="replace")

    def run(self, command: Sequence[str]) -> None:
        """Run a Python program and wait for its exit. Raises `RuntimeError` if it fails."""
        if self._start(command).wait(TIMEOUT):
            raise RuntimeError(f"{' '.join(command)} failed")

    def start(self, command: Sequence[str]) -> None:
        """Start the server, with a free port for PORT and a directory for SPOOL, and wait until it is ready."""
        values = {"SPOOL": str(self.directory / "spool")}
        self._process = self._start([values.get(word, word).replace("PORT", str(self._port)) for word in command])
        self.wait_for("the ready message", lambda: "ready: " in self.log.lower())

    def request(self, method: str, path: str) -> None:
        """Make a request, and print it with its response."""
        message = urllib.request.Request(self.address + path, method=method)  # noqa: S310 - a local server
        with urllib.request.urlopen(message, timeout=TIMEOUT) as response:  # noqa: S310
            print(f"{method:<4} {path:<16} {response.status} {response.read().decode().strip()}")

    def wait_for_log(self, *lines: str) -> None:
        """Wait until the log has lines with these prefixes, and print them."""
        self.wait_for(", ".join(lines), lambda: all(f"\n{line}" in self.log for line in lines))
        print(*(line for line in self.log.splitlines() if line.startswith(lines)), sep="\n")

    def wait_for(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until `done()` returns True. Raises `TimeoutError` if the time is over or the server exits."""
        deadline = time.monotonic() + TIMEOUT
        while not done():
            if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                raise TimeoutError(f"timed out waiting for {what}")
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop the server and return its exit code. Later calls return it again."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        print("$ python", *command)
        with (self.directory / "log").open("ab") as log:
            # In its own session, Ctrl-C does not reach the server, so the walkthrough stops it.
            return subprocess.Popen(  # noqa: S603 - our own command, no shell
                [sys.executable, *command],
                cwd=self._working_directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """Return an environment in which all files and sockets are in `directory`."""
        variables = ("SHOP_DIRECTORY", "SITE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
        stock = {"STOCK_DIRECTORY": str(self.directory / "stock")}
        return {**os.environ, **dict.fromkeys(variables, str(self.directory)), **stock}


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
