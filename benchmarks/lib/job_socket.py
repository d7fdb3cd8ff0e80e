"""A Unix socket for jobs, for servers that take no requests. The handler of a remote signal serves it.

The job therefore runs in the worker's main thread, as a request does in uWSGI, and is pinned to a core with it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

JOB_SIGNAL = 20
"""The signal that makes the worker accept one job."""

SOCKET_ENV = "BENCH_JOB_SOCKET"
"""Environment variable with the path of the socket. It is not set if jobs arrive as requests."""

_REQUEST_TIMEOUT = 5.0
"""Seconds to wait for the client after the signal."""


def listen(work: Callable[[str], str]) -> None:
    """Register the handler of the job signal. `work` takes the text of a job and returns the answer."""
    from heliograph import Signal  # noqa: PLC0415 - other peers must not import it

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ[SOCKET_ENV])
    listener.listen()
    listener.settimeout(_REQUEST_TIMEOUT)
    Signal(JOB_SIGNAL).register_handler("worker1", remote=True)(lambda: answer(listener, work))


def answer(listener: socket.socket, work: Callable[[str], str]) -> None:
    """Serve the next client."""
    client, _ = listener.accept()
    with client, client.makefile("rw") as text:
        text.write(work(text.read()))
