"""The master's control socket: a line of JSON asks, a line of JSON answers, and the connection is closed.

Only the owner's processes are served (the socket is 0600, and the kernel tells who connects). What a client sends is
bounded in size and time, and so is the number of clients: none of them can hang or grow the master.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.exceptions import ConfigError

_LOG = logging.getLogger("heliograph.master")

MOST_BYTES = 4096
"""Bytes of a request."""
MOST_CLIENTS = 32
PATIENCE = 5.0
"""Seconds that a client may take to ask and to read its answer."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(slots=True)
class _Client:
    socket: socket.socket
    until: float
    asked: bytes = b""
    answer: bytes = b""


class ControlServer:
    """Serves the control socket from the master's own loop; never blocks."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, answer: Answer) -> None:
        """`answer` is called with each request. The caller holds the lock of the name, so a file there is stale."""
        self._path = path
        self._selector = selector
        self._answer = answer
        self._clients: dict[int, _Client] = {}
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        self._listener.listen(MOST_CLIENTS)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    @property
    def deadline(self) -> float:
        """When `tick` is due at the latest."""
        return min((client.until for client in self._clients.values()), default=float("inf"))

    def tick(self, now: float) -> None:
        """Send away who takes too long."""
        for client in list(self._clients.values()):
            if client.until <= now:
                self._close(client)

    def close(self) -> None:
        """Serve nobody any more."""
        for client in list(self._clients.values()):
            self._close(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self, now: float) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MOST_CLIENTS or not _is_owner(sock):
            sock.close()
            return
        sock.setblocking(False)
        client = _Client(sock, now + PATIENCE)
        self._clients[sock.fileno()] = client
        self._selector.register(sock, selectors.EVENT_READ, partial(self._read, client))

    def _read(self, client: _Client, _now: float) -> None:
        try:
            chunk = client.socket.recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        client.asked += chunk
        if b"\n" in client.asked:
            client.answer = json.dumps(self._answer_to(client.asked)).encode() + b"\n"
            self._selector.modify(client.socket, selectors.EVENT_WRITE, partial(self._write, client))
        elif not chunk or len(client.asked) > MOST_BYTES:
            self._close(client)

    def _answer_to(self, asked: bytes) -> dict[str, Any]:
        try:
            request = json.loads(asked.partition(b"\n")[0])
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return {"error": 'ask with a line of JSON: {"do": "signals"}'}
        return self._answer(request)  # pyright: ignore[reportUnknownArgumentType]

    def _write(self, client: _Client, _now: float) -> None:
        try:
            sent = client.socket.send(client.answer)
        except BlockingIOError:
            return
        except OSError:
            sent = len(client.answer)
        client.answer = client.answer[sent:]
        if not client.answer:
            self._close(client)

    def _close(self, client: _Client) -> None:
        del self._clients[client.socket.fileno()]
        self._selector.unregister(client.socket)
        client.socket.close()


def ask(path: Path, request: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """Ask the master behind a control socket. Raises `ConfigError` if there is none, or it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            sock.connect(str(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with contextlib.closing(sock.makefile("rb")) as answer:
                line = answer.readline()
    except OSError as error:
        raise ConfigError(
            f"no server answers at {path} ({error.strerror or error}): is it running, with that --name or in this "
            "directory?"
        ) from error
    if not line:
        raise ConfigError(f"the server at {path} closed the connection: it runs as another user, or is too busy")
    found: dict[str, Any] = json.loads(line)
    if "error" in found:
        raise ConfigError(str(found["error"]))
    return found


def _is_owner(sock: socket.socket) -> bool:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())
