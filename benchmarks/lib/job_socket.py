"""Where a server without requests takes jobs: a unix socket, served in the handler of a signal that is raised outside.

So a job runs in the worker's main thread, as a request does in uWSGI, and is placed on a core with it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

NUMBER = 20
"""The signal that calls the worker to the desk."""

VARIABLE = "BENCH_DESK"
"""Environment variable: path of the socket; unset where jobs come as requests."""

_PATIENCE = 5.0
"""Seconds that the one who called may take to say what for."""


def open_desk(work: Callable[[str], str]) -> None:
    """Register the handler; `work` answers the text of a job."""
    from heliograph import Signal  # noqa: PLC0415 - only its own server has a desk

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ[VARIABLE])
    listener.listen()
    listener.settimeout(_PATIENCE)
    Signal(NUMBER).register_handler("worker1", remote=True)(lambda: answer(listener, work))


def answer(listener: socket.socket, work: Callable[[str], str]) -> None:
    """Serve the next caller."""
    caller, _ = listener.accept()
    with caller, caller.makefile("rw") as text:
        text.write(work(text.read()))
