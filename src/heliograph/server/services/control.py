"""The master's control socket: a line of JSON asks, a line of JSON answers, and the connection is closed.

Only the owner's processes are served: the socket is 0600, and the kernel tells who connects. An answer may bring
descriptors along (`SCM_RIGHTS`). `ipc.control_client` is the other end.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from heliograph.exceptions import ConfigError
from heliograph.ipc.request_server import Reply, RequestServer
from heliograph.loop import Selector

MAX_REQUEST_BYTES = 4096
"""Bytes of a request."""
CLIENT_TIMEOUT = 5.0
"""Seconds that a client may take to ask and to read its answer."""

Answer = Callable[[dict[str, Any], int], tuple[dict[str, Any], Sequence[int]]]
"""What to answer to a request of the process of that id: a line of JSON, and descriptors."""


class ControlServer(RequestServer):
    """Serves the control socket from the master's own loop."""

    def __init__(self, path: Path, selector: Selector, answer: Answer) -> None:
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
        super().__init__(listener, selector, self._respond_to, MAX_REQUEST_BYTES, CLIENT_TIMEOUT)

    def close(self) -> None:
        super().close()
        self._path.unlink(missing_ok=True)

    def accepts_peer(self, sock: socket.socket) -> bool:
        _, uid = _peer(sock)
        return uid == os.getuid()

    def _respond_to(self, asked: bytes, sock: socket.socket) -> Reply | None:
        line, newline, _ = asked.partition(b"\n")
        if not newline:
            return None
        answer, descriptors = self._answer_to(line, _peer(sock)[0])
        return Reply(json.dumps(answer).encode() + b"\n", tuple(descriptors))

    def _answer_to(self, line: bytes, pid: int) -> tuple[dict[str, Any], Sequence[int]]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return {"error": 'ask with a line of JSON: {"do": "signals"}'}, ()
        return self._answer(request, pid)  # pyright: ignore[reportUnknownArgumentType]


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Process id and user id of who connected, as the kernel has them."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid, uid
