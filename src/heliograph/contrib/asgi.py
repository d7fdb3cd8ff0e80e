"""ASGI applications: a process joins after its startup, and leaves before its shutdown.

`async def` handlers run on the asyncio loop of the server. Running handlers finish there before the server exits. On
trio they run on an asyncio loop in heliograph's thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from heliograph.runtime.membership import join_at_request, join_server, leave_server

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""The types of ASGI 3."""


class Middleware:
    """Joins after the startup of the application, and leaves before its shutdown. Requests pass unchanged.

    If the server or the application does not support lifespan, a process joins at its first request. Without a
    heliograph server the middleware does nothing.

    >>> async def app(scope, receive, send): ...
    >>> app = Middleware(app)
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._joined_in = 0
        """Id of the process that joined. A fork has another one."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, _leaving(receive), self._joining(send))
            return
        if self._joined_in != os.getpid():
            join_at_request(_running_loop())
            self._joined_in = os.getpid()
        await self._app(scope, receive, send)

    def _joining(self, send: Send) -> Send:
        async def send_and_join(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._join()

        return send_and_join

    def _join(self) -> None:
        join_server(_running_loop())
        self._joined_in = os.getpid()


@asynccontextmanager
async def lifespan(app: object) -> AsyncGenerator[None]:
    """Make this process a worker until the block ends. Use it as lifespan of a Starlette or FastAPI application.

    >>> @asynccontextmanager
    ... async def with_database(app):
    ...     database = ...
    ...     async with lifespan(app):
    ...         yield
    """
    del app  # the frameworks pass it
    join_server(_running_loop())
    try:
        yield
    finally:
        await _leave()


def _leaving(receive: Receive) -> Receive:
    async def leave_and_receive() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await _leave()
        return message

    return leave_and_receive


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the asyncio loop of this thread. None on another one, such as trio's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _leave() -> None:
    """Leave in a thread: the loop goes on, so handlers on it can finish, and requests too."""
    trio: Any = sys.modules.get("trio")
    if _running_loop() is not None:
        await asyncio.to_thread(leave_server)
    elif trio is not None and trio.lowlevel.in_trio_run():
        with trio.CancelScope(shield=True):  # else a cancelled task would not leave
            await trio.to_thread.run_sync(leave_server)
    else:
        leave_server()
