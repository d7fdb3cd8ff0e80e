"""ASGI applications: a process joins when it has started up, and leaves before it is taken down.

So `async def` handlers run on the server's own loop, and those that run when the server ends come to their end there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from heliograph.runtime.membership import join_server, leave_server

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""As ASGI 3 has them."""


class Middleware:
    """Passes everything through; joins after the application's startup, leaves before its shutdown.

    Where there is no lifespan (the server or the application does not support it) a process joins at its first request.

    >>> async def app(scope, receive, send): ...
    >>> app = Middleware(app)
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._joined_in = 0
        """The process that joined; a fork is another one."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, _leaving(receive), self._joining(send))
            return
        if self._joined_in != os.getpid():
            self._join()
        await self._app(scope, receive, send)

    def _joining(self, send: Send) -> Send:
        async def send_and_join(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._join()

        return send_and_join

    def _join(self) -> None:
        join_server(asyncio.get_running_loop())
        self._joined_in = os.getpid()


@asynccontextmanager
async def lifespan(app: object) -> AsyncGenerator[None]:
    """Be a worker while the block lasts: the lifespan of a Starlette or FastAPI application, or a part of it.

    >>> @asynccontextmanager
    ... async def with_database(app):
    ...     database = ...
    ...     async with lifespan(app):
    ...         yield
    """
    del app  # the frameworks' shape
    join_server(asyncio.get_running_loop())
    try:
        yield
    finally:
        await asyncio.to_thread(leave_server)


def _leaving(receive: Receive) -> Receive:
    async def leave_and_receive() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(leave_server)  # the loop goes on: handlers that run on it come to their end
        return message

    return leave_and_receive
