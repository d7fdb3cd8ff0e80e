"""The functions that an application registers for the exit of a process.

A function that it gives to `atexit` while the fork server loads it runs once in each process: in every worker, mule and
spooler at its exit, and in the fork server after the last of them. uWSGI does the same in workers and mules. A function
that a process registers runs in that process only.

What Python cleans up itself (`weakref.finalize`, `tempfile`, `multiprocessing`) is left to the process that made it.
A process that the application forks runs none of these functions.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - `multiprocessing` uses the same private functions
import atexit
import logging
import os
import sys
import threading
import time
import weakref
from typing import Any, NoReturn, cast

_LOG = logging.getLogger("heliograph.local")

THREAD_TIMEOUT = 1.0
"""Seconds in which threads that are no daemons must end when a fork server exits."""

_ATEXIT = cast("Any", atexit)
_FINALIZE = cast("Any", weakref.finalize)


def leave_to_parent() -> None:
    """Leave what Python cleans up at the exit to the parent that has made it. Call it in a forked process."""
    for finalizer in list(_FINALIZE._registry):
        finalizer.atexit = False
    _forget_children()


def leave(code: int) -> NoReturn:
    """Exit. Do not wait long for threads: one that runs for ever must not keep the whole application in memory."""
    until = time.monotonic() + THREAD_TIMEOUT
    for thread in _threads():
        thread.join(max(0.0, until - time.monotonic()))
    if names := [thread.name for thread in _threads()]:
        _LOG.warning("Fork server exits without waiting for these threads: %s", ", ".join(names))
        _ATEXIT._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _forget_children() -> None:
    """Let `multiprocessing` know that it is in another process, as it does in those that it forks itself."""
    util, process = (cast("Any", sys.modules.get(f"multiprocessing.{name}")) for name in ("util", "process"))
    if process is not None:
        process._children = set()
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()


def _threads() -> list[threading.Thread]:
    """Return the threads that the interpreter would wait for."""
    current = threading.current_thread()
    return [thread for thread in threading.enumerate() if thread is not current and not thread.daemon]
