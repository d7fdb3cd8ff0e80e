"""Joining and leaving the heliograph server, for processes of a web server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph import engines
from heliograph.interfaces import WebServerMembership

if TYPE_CHECKING:
    import asyncio


def join_server(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Make this process a worker of the heliograph server that started its web server.

    You don't need this with gunicorn, uvicorn and granian: heliograph detects their processes. Call it when the
    application is loaded and about to serve. You may call it more than once.

    Args:
        loop: Event loop for `async def` handlers. Default: the loop of the main thread, else a loop of their own.

    Returns:
        True if there is such a server. Otherwise nothing happens.
    """
    engine: WebServerMembership = engines.current()
    return engine.join(loop)


def join_at_request(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Join as `join_server` does, because of the first request of this process. A reload does not wait for that."""
    engine: WebServerMembership = engines.current()
    return engine.join(loop, at_request=True)


def leave_server() -> None:
    """Stop taking signals in this process, and return when the running handler has finished, after 30 s at most.

    A process leaves by itself when it exits. Call this earlier if handlers need something that is shut down before,
    such as their event loop. Don't call it on that loop, which must run until then: use
    `await asyncio.to_thread(leave_server)`.
    """
    engine: WebServerMembership = engines.current()
    engine.leave()


join, leave = join_server, leave_server
"""Short names of the same functions."""
