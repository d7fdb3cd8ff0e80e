"""The stream of events: one each time that something on the page has changed (server-sent events)."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from heliograph.web.readings import Readings
from heliograph.web.view import View

MAX_STREAMS = 32
"""Number of clients that can watch at the same time."""
HEARTBEAT = 15.0
"""Seconds without an event after which the server shows that it is alive."""
RETRY_MILLISECONDS = 2000
"""Time after which a browser connects again."""


class Events:
    """An ASGI application that sends events until the client or the server closes the stream."""

    def __init__(self, readings: Readings, view: View) -> None:
        self._readings = readings
        self._view = view
        self._closing = asyncio.Event()
        self.streams = 0
        """Number of open streams."""

    def close(self) -> None:
        """End all streams."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        if self.streams >= MAX_STREAMS:
            text = f"{MAX_STREAMS} clients watch this page already. Close one of them.\n"
            await PlainTextResponse(text, 503, {"Retry-After": "10"})(scope, receive, send)
            return
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if Request(scope).method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self.streams += 1
        watching: set[asyncio.Task[object]] = {
            asyncio.create_task(self._stream(send)),
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(self._closing.wait()),
        }
        try:
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.streams -= 1
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        for task in done:
            task.result()
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    async def _stream(self, send: Send) -> None:
        async with self._readings.watched():
            await self._readings.current()
            text, seen = f"retry: {RETRY_MILLISECONDS}\n", 0
            while True:
                if self._view.version > seen:
                    text += f"data: {self._view.event(seen)}\n"
                    seen = self._view.version
                body = f"{text}\n".encode(errors="replace")
                await send({"type": "http.response.body", "body": body, "more_body": True})
                text = "" if await self._readings.next(HEARTBEAT) else ": nothing has changed\n"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
