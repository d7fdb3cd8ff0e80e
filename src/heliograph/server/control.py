"""The master's control socket: a line of JSON asks, a line of JSON answers, and the connection is closed.

Only the owner's processes are served: the socket is 0600, and the kernel tells who connects.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliograph.exceptions import ConfigError
from heliograph.server.clients import Clients

MOST_BYTES = 4096
"""Bytes of a request."""
PATIENCE = 5.0
"""Seconds that a client may take to ask and to read its answer."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class ControlServer(Clients):
    """Serves the control socket from the master's own loop."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, answer: Answer) -> None:
        """`answer` is called with each request. The caller holds the lock of the name, so a file there is stale."""
        self._path = path
        self._answer = answer
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            listener.close()
            raise ConfigError(f"cannot listen at {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)
        listener.listen()
        super().__init__(listener, selector, self._respond_to, MOST_BYTES, PATIENCE)

    def close(self) -> None:
        super().close()
        self._path.unlink(missing_ok=True)

    def admits(self, sock: socket.socket) -> bool:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        return bool(uid == os.getuid())

    def _respond_to(self, asked: bytes) -> bytes | None:
        line, newline, _ = asked.partition(b"\n")
        if not newline:
            return None
        return json.dumps(self._answer_to(line)).encode() + b"\n"

    def _answer_to(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return {"error": 'ask with a line of JSON: {"do": "signals"}'}
        return self._answer(request)  # pyright: ignore[reportUnknownArgumentType]


def _connect(sock: socket.socket, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            sock.connect(str(path))
        except BlockingIOError:  # the kernel says so at once where too many others wait to be accepted
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def ask(path: Path, request: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """Ask the master behind a control socket. Raises `ConfigError` if there is none, or it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            _connect(sock, path, timeout)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with contextlib.closing(sock.makefile("rb")) as answer:
                line = answer.readline()
    except OSError as error:
        raise ConfigError(
            f"no server answers at {path} ({error.strerror or error}); name it with --name, or go to the directory "
            "that it was started in"
        ) from error
    if not line:
        raise ConfigError(f"the server at {path} closed the connection: it runs as another user, or is too busy")
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"the server at {path} broke off in the middle of its answer") from error
    if "error" in found:
        raise ConfigError(str(found["error"]))
    return found
