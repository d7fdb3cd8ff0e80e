"""The functions that an application registers for the exit of a process.

What it registers while the fork server loads it runs once, in the fork server, after the last process that it forked.
What it registers in a process runs at the exit of that process. `multiprocessing` follows the same rule.
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


def forget_inherited() -> None:
    """Leave the exit functions that were registered so far to the parent. Call it in a forked process."""
    for finalizer in list(_FINALIZE._registry):
        finalizer.atexit = False
    _ATEXIT._clear()
    atexit.register(logging.shutdown)
    atexit.register(_FINALIZE._exitfunc)
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
        atexit.register(util._exit_function)


def _threads() -> list[threading.Thread]:
    """Return the threads that the interpreter would wait for."""
    current = threading.current_thread()
    return [thread for thread in threading.enumerate() if thread is not current and not thread.daemon]
