"""The web server that this process belongs to, as far as it can be known: read off the main thread's stack.

gunicorn, uvicorn and granian each load and serve an application in functions of their own. Which of those the main
thread is in says whether this process serves, will serve when it has loaded the application, or only looks after
others that do. Nothing of theirs is changed or imported.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import asyncio

ServingState = Literal["elsewhere", "supervising", "loading", "serving"]
"""What this process is for a web server."""

_SERVING = {
    ("gunicorn.workers.base", "init_process"),
    ("uvicorn.server", "run"),
    ("granian.server.mp", "wrapped"),
}
"""Module and function in which a process of each server spends its life."""

_LOADING = {
    ("gunicorn.workers.base", "load_wsgi"),
    ("gunicorn.workers.gasgi", "load_wsgi"),
    ("uvicorn.config", "load"),
    ("granian._internal", "load_target"),
}
"""Those in which it loads the application."""

_SUPERVISING = ("gunicorn.arbiter", "uvicorn.supervisors", "granian.server.common")
"""Modules of the processes that only look after others."""

_PATCHERS = (
    ("gevent", "gevent.monkey", "is_module_patched", "threading"),
    ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
)
"""Library, and how it is asked whether it has replaced threads: module, function, argument."""

_WITHOUT_LOOP = "gunicorn.workers.sync"
"""Module of a worker that answers requests in the main thread."""


def serving_state() -> ServingState:
    """What this process is for a web server now."""
    where = [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_name) for frame in _main_frames()]
    if not _SERVING.isdisjoint(where):
        return "serving" if _LOADING.isdisjoint(where) else "loading"
    return "supervising" if any(module.startswith(_SUPERVISING) for module, _ in where) else "elsewhere"


def thread_patcher() -> str:
    """The library that has put its own in place of threads in this process; empty if none has."""
    for name, module, asks, what in _PATCHERS:
        patched = getattr(sys.modules.get(module), asks, None)
        if patched is not None and patched(what):
            return name
    return ""


def reraises_sigterm(handler: object) -> bool:
    """Whether a process with that handler of SIGTERM does not end as Python does, but kills itself when it has served.

    uvicorn raises the signal again then, under the handler that was there before.
    """
    return getattr(handler, "__module__", "") == "uvicorn.server"


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that the web server runs in the main thread; None if there is none to be seen."""
    if "asyncio" not in sys.modules:
        return None
    from asyncio import AbstractEventLoop  # noqa: PLC0415 - loaded already, or there is no loop

    found = None
    for frame in _main_frames():
        if frame.f_globals.get("__name__") == _WITHOUT_LOOP:
            return None  # a loop further in is one that a request has started
        for holder in (frame.f_locals.get("self"), frame.f_locals.get("loop")):
            parts = getattr(holder, "__dict__", {})  # not by attribute: a property could do anything
            for part in (holder, parts.get("_loop"), parts.get("loop")):
                if isinstance(part, AbstractEventLoop) and part.is_running():
                    found = part  # the outermost counts
    return found


def _main_frames() -> Iterator[FrameType]:
    """The functions that the main thread is in, innermost first."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        yield frame
        frame = frame.f_back
