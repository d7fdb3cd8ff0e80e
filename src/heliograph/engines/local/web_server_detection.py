"""Detection of the web server that this process belongs to, from the stacks of its threads and tasks.

gunicorn, uvicorn and granian each load and serve an application in functions of their own. The functions on the stacks
tell whether this process serves, still loads or starts the application, or only supervises other processes. A program
may run the web server in a thread, or in a task of its event loop. Nothing of the web servers is imported.

The names of these functions were read, and the end-to-end tests run, with gunicorn 27.0.1, uvicorn 0.54.0 and
granian 2.8.9. Another version may have other functions. Its processes are then "elsewhere", and the middlewares and
`join_server()` still work.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from heliograph.engines.local.asgi_lifespan import is_starting
from heliograph.engines.local.stacks import all_frames, main_frames, place

if TYPE_CHECKING:
    import asyncio

ServingState = Literal["elsewhere", "supervising", "loading", "serving"]
"""The part that this process has in a web server."""

_SERVING = {
    ("gunicorn.workers.base", "init_process"),
    ("uvicorn.server", "run"),
    ("uvicorn.server", "serve"),
    ("granian.server.mp", "wrapped"),
    ("granian.server.embed", "_spawn_asgi_worker"),
    ("granian.server.embed", "_spawn_asgi_lifespan_worker"),
    ("granian.server.embed", "_spawn_rsgi_worker"),
}
"""Module and function in which a process of each web server runs until it exits."""

_LOADING = {
    ("gunicorn.workers.base", "load_wsgi"),
    ("gunicorn.workers.gasgi", "load_wsgi"),
    ("uvicorn.config", "load"),
    ("granian._internal", "load_target"),
}
"""Module and function in which it loads the application."""

_SUPERVISING = ("gunicorn.arbiter", "uvicorn.supervisors", "granian.server.common")
"""Modules of the processes that only supervise others."""

_THREAD_PATCHERS = (
    ("gevent", "gevent.monkey", "is_module_patched", "threading"),
    ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
)
"""Libraries that replace threads, and how each tells that it has: module, function, argument."""

_WORKER_WITHOUT_LOOP = "gunicorn.workers.sync"
"""Module of a worker that answers requests in the main thread."""


def serving_state() -> ServingState:
    """Return the part that this process has in a web server now."""
    frames = list(all_frames())
    where = [place(frame) for frame in frames]
    if not _SERVING.isdisjoint(where):
        return "serving" if _LOADING.isdisjoint(where) and not is_starting(frames) else "loading"
    return "supervising" if any(module.startswith(_SUPERVISING) for module, _ in where) else "elsewhere"


def thread_patcher() -> str:
    """Return the name of the library that has replaced threads in this process, or an empty string."""
    for name, module, function, argument in _THREAD_PATCHERS:
        is_patched = getattr(sys.modules.get(module), function, None)
        if is_patched is not None and is_patched(argument):
            return name
    return ""


def reraises_sigterm(handler: object) -> bool:
    """Return True if this SIGTERM handler shuts the server down and then sends SIGTERM to its own process again.

    uvicorn does that, with the handler that was installed before. The process then does not exit as Python does.
    """
    return getattr(handler, "__module__", "") == "uvicorn.server"


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that the web server runs in the main thread, or None."""
    if "asyncio" not in sys.modules:
        return None
    from asyncio import AbstractEventLoop  # noqa: PLC0415 - loaded already, or there is no loop

    found = None
    for frame in main_frames():
        if frame.f_globals.get("__name__") == _WORKER_WITHOUT_LOOP:
            return None  # a loop in an inner frame is one that a request has started
        for holder in (frame.f_locals.get("self"), frame.f_locals.get("loop")):
            parts = getattr(holder, "__dict__", {})  # attribute access could run a property
            for part in (holder, parts.get("_loop"), parts.get("loop")):
                if isinstance(part, AbstractEventLoop) and part.is_running():
                    found = part  # the outermost loop is the web server's
    return found
