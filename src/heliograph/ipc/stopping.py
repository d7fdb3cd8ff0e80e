"""Stop a server, and wait until the process of its master has ended."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from heliograph.ipc.control_client import ControlClient, RequestTimeout
from heliograph.models import MAX_WAIT


def stop_and_wait(path: Path, timeout: float) -> None:
    """Stop the server behind a control socket. Return when its master has exited.

    A program that called `serve()` goes on: then return when the server has stopped.

    Raises:
        RequestTimeout: It has not stopped after so many seconds. It continues to stop.
        ConfigError: As `ControlClient`.
    """
    deadline = time.monotonic() + timeout
    with ControlClient(path, timeout) as client, _pidfd(client.server_pid) as master:
        result = client.request("stop", wait=True)
        if master is not None and result.get("ends_process") and not _has_exited(master, deadline):
            raise RequestTimeout(f"the server at {path} has stopped, but its process {client.server_pid} has not.")


@contextmanager
def _pidfd(pid: int) -> Generator[int | None]:
    """Yield a descriptor of a process, None if there is none: it has exited, or the kernel or a sandbox refuses."""
    try:
        fd = os.pidfd_open(pid) if pid > 0 else None
    except OSError:
        fd = None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _has_exited(pidfd: int, deadline: float) -> bool:
    """Wait until a process has exited. Return False if it has not at the deadline."""
    exited = select.poll()
    exited.register(pidfd, select.POLLIN)
    while True:
        left = max(0.0, deadline - time.monotonic())
        if exited.poll(min(left, MAX_WAIT) * 1000):
            return True
        if not left:
            return False
