"""The lifespan of the ASGI application that a web server runs in this process: its startup and its shutdown.

gunicorn, uvicorn and granian each have an object for it. They tell the application to shut down by a message in the
queue of that object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from heliograph.engines.local.stacks import place

_GRANIAN = ("granian.server.mp", "granian.server.mt", "granian.server.embed")
_QUEUES = ("receive_queue", "event_queue", "_receive_queue")
"""Attribute with the queue of messages, in uvicorn, granian and gunicorn."""


def is_starting(frames: Iterable[FrameType]) -> bool:
    """Return True if a web server on these frames has not finished its startup: it serves no requests yet."""
    return any(map(_is_starting, frames))


def call_before_shutdown(frames: Iterable[FrameType], function: Callable[[], None]) -> None:
    """Call `function` in a thread before the application is told to shut down. The event loop runs meanwhile."""
    for lifespan in map(_lifespan, frames):
        queue = next((found for name in _QUEUES if (found := getattr(lifespan, name, None)) is not None), None)
        if isinstance(queue, asyncio.Queue) and "put" not in vars(queue):
            _call_before_shutdown(queue, function)  # pyright: ignore[reportUnknownArgumentType]


def _call_before_shutdown(queue: asyncio.Queue[Any], function: Callable[[], None]) -> None:
    put = queue.put

    async def put_after(message: Any) -> None:
        if message.get("type") == "lifespan.shutdown":
            await asyncio.to_thread(function)
        await put(message)

    vars(queue)["put"] = put_after  # this queue only: the class belongs to Python


def _is_starting(frame: FrameType) -> bool:
    module, function = place(frame)
    if module == "uvicorn.server" and function in ("run", "serve", "_serve"):
        return not getattr(frame.f_locals.get("self"), "started", True)
    if module == "gunicorn.workers.gasgi" and function == "run":
        return not getattr(frame.f_locals.get("self"), "servers", True)
    if module in _GRANIAN and function == "_spawn_asgi_lifespan_worker":
        started = getattr(_lifespan(frame), "event_startup", None)
        return started is None or not started.is_set()
    return False


def _lifespan(frame: FrameType) -> object:
    module, function = place(frame)
    if (module, function) in (("uvicorn.server", "_serve"), ("uvicorn.server", "run"), ("uvicorn.server", "serve")):
        return getattr(frame.f_locals.get("self"), "lifespan", None)
    if (module, function) == ("gunicorn.workers.gasgi", "run"):
        return getattr(frame.f_locals.get("self"), "lifespan", None)
    if module in _GRANIAN and function == "_spawn_asgi_lifespan_worker":
        return frame.f_locals.get("lifespan_handler")
    return None
