"""A server that a page starts. It runs until the page starts another one, or ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from output import missing
from places import Places

TIMEOUT = 60.0
"""Seconds for each step. Only a failing test waits for so long."""

IS_SERVER = re.compile(
    r"^(?:\w+=\S+ )*(?:python3? )?(?:opentelemetry-instrument )?(?:manage\.py )?(?:heliograph run|uwsgi)\b"
    r"(?!.*--(?:print-plan|help))"
)
"""Commands that stay in the foreground."""
_READY = re.compile(r"Server ready|spawned uWSGI worker")
_JOINS_LATER = "Unknown web server"


class PageError(AssertionError):
    """A block did not do what the page says."""


class Server:
    """A server in the background."""

    def __init__(self, script: str, command: str, places: Places) -> None:
        self._places = places
        self._command = command
        self._log = places.root / "server.log"
        self._read_from = 0
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script],
                env=places.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def wait_until_ready(self) -> None:
        """Wait until its processes are ready. Workers of an unknown web server join at a request."""
        self._wait_for(lambda: bool(_READY.search(self.output)) or (_JOINS_LATER in self.output and self._listens()))

    def mark(self) -> None:
        """Expect further output from now on."""
        self._read_from = self._log.stat().st_size

    def expect(self, shown: str) -> None:
        """Wait until the server has printed these lines since the mark."""
        self._wait_for(lambda: not missing(shown, self._new_output))

    @property
    def output(self) -> str:
        """All that the server has printed."""
        return self._places.shown(self._log.read_text(errors="replace"))

    def stop(self) -> None:
        """Stop the server, unless it has exited. Its exit code has to be 0."""
        if self._command.startswith("uwsgi "):  # it often does not end if it has just started
            self.kill()
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise PageError(f"$ {self._command}\ndid not stop:\n{self.output}") from None
        if code:
            raise PageError(f"$ {self._command}\nexited with {code}:\n{self.output}")

    def kill(self) -> None:
        """Kill what is left of it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def _new_output(self) -> str:
        return self._places.shown(self._log.read_bytes()[self._read_from :].decode(errors="replace"))

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PageError(f"$ {self._command}\nexit code {self._process.poll()}\n{self.output[-6000:]}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._places.port("8000"))) == 0
