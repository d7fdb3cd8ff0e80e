"""A Redis server for a benchmark: on a Unix socket, and as durable as its manual advises (appendonly, everysec)."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lib.processes import running, tail

_START_TIMEOUT = 5.0
"""Seconds."""


def find() -> str | None:
    """Return the path of the program, None if it is not installed."""
    return shutil.which("redis-server")


@contextmanager
def redis(folder: Path) -> Generator[None]:
    """Run a server on `folder/redis.sock`, with its files in `folder`.

    Raises:
        RuntimeError: It is not installed, or did not start.
    """
    program = find()
    if program is None:
        raise RuntimeError("redis-server not found. Install it (Debian: apt-get install redis-server).")
    address, log = folder / "redis.sock", folder / "redis.log"
    command = [program, "--port", "0", "--unixsocket", str(address), "--dir", str(folder)]
    with running([*command, "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""], log, {}):
        deadline = time.monotonic() + _START_TIMEOUT
        while not _answers(address):
            if time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start\n{tail(log)}")
            time.sleep(0.01)
        yield


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(address))
        except OSError:
            return False
        sock.sendall(b"PING\r\n")
        return sock.recv(64).startswith(b"+PONG")
