"""A client of the status page of a server under test."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from heliograph.testing.harness.harness import eventually


class Connection(http.client.HTTPConnection):
    """A connection to the page at a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Page:
    """The page of the server under test."""

    def __init__(self, server) -> None:
        self.server = server
        self.path: Path = server.directory / "page.sock"

    def start(self, app: str, *arguments: str) -> None:
        """Start the server with the page, and wait until both answer."""
        self.server.start(app, "--mules", "1", "--http-status", str(self.path), *arguments)
        self.await_status("/healthz", 200)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Return the status and the body. The status is 0 if nothing listens."""
        connection = Connection(self.path)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def await_status(self, path: str, status: int) -> str:
        found: list[tuple[int, str]] = []

        def has_status() -> bool:
            found[:] = [self.ask(path)]
            return found[0][0] == status

        try:
            eventually(f"{status} for {path}", has_status)
        except AssertionError as error:
            raise AssertionError(f"{error} Found: {found}. The log:\n{self.server.log}") from None
        return found[0][1]

    def state(self) -> dict:
        return json.loads(self.await_status("/api/state", 200))

    @property
    def pid(self) -> int:
        return self.server.pids().get("status-page", 0)

    def metric(self, line: str) -> float | None:
        """Return the value of a metric with its labels."""
        lines = [found.rpartition(" ") for found in self.ask("/metrics")[1].splitlines()]
        return next((float(value) for name, _, value in lines if name == line), None)
