"""Ask a server's master: a line of JSON over its control socket, answered by a line of JSON and maybe descriptors."""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from pathlib import Path
from typing import Any

from heliograph.exceptions import ConfigError

MAX_DESCRIPTORS = 253
"""How many the kernel passes in one piece (`SCM_MAX_FD`)."""

_PIECE = 65_536


class ServerNotRunning(ConfigError):
    """Nobody answers there."""


def request(path: Path, request: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """Ask the master behind a control socket.

    Raises `NoServer` if there is none or it does not answer, and `ConfigError` if it refuses.
    """
    answer, descriptors = request_with_fds(path, request, timeout)
    for fd in descriptors:
        os.close(fd)
    return answer


def request_with_fds(
    path: Path, request: dict[str, Any], timeout: float = 10.0
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The same; the answer may bring descriptors, which are this process's now, and not inherited by programs."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            _connect(sock, path, timeout)
            sock.sendall(json.dumps(request).encode() + b"\n")
            line, descriptors = _read(sock)
    except OSError as error:
        raise ServerNotRunning(f"no server answers at {path} ({error.strerror or error})") from error
    return _understand(line, path), descriptors


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


def _read(sock: socket.socket) -> tuple[bytes, tuple[int, ...]]:
    line = b""
    descriptors: list[int] = []
    while not line.endswith(b"\n"):
        piece, found, flags, _ = socket.recv_fds(sock, _PIECE, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        descriptors += found
        if flags & socket.MSG_CTRUNC:
            raise _too_many(descriptors)
        line += piece
        if not piece:
            break
    return line, tuple(descriptors)


def _too_many(received: list[int]) -> ConfigError:
    for fd in received:
        os.close(fd)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConfigError(
        f"this process may open {most} files, too few for the server's queues; let it open more (ulimit -n), or use "
        "fewer workers and mules"
    )


def _understand(line: bytes, path: Path) -> dict[str, Any]:
    if not line:
        raise ConfigError(f"the server at {path} closed the connection: it runs as another user, or is too busy")
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"the server at {path} broke off in the middle of its answer") from error
    if "error" in found:
        raise ConfigError(str(found["error"]))
    return found
