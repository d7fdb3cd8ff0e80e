"""The ASGI application: all addresses of the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from heliograph.insights.model import ServerState
from heliograph.settings.token_file import TokenFile
from heliograph.web.changes import change, refusal, retry_failed
from heliograph.web.document import document, stack_document
from heliograph.web.events import Events
from heliograph.web.exposition import Exposition
from heliograph.web.protection import Protection
from heliograph.web.readings import Readings
from heliograph.web.task_lists import TaskListReader
from heliograph.web.view import View

STATIC = Path(__file__).with_name("static")
ReadStack = Callable[[str], Awaitable[str]]
"""Returns the stack of a process. Raises: LookupError: there is none, with the reason."""


class Page:
    """Answers all requests."""

    def __init__(self, readings: Readings, view: View, read_stack: ReadStack, tokens: TokenFile | None) -> None:
        self._readings, self._view, self._read_stack, self._tokens = readings, view, read_stack, tokens
        self._store, self._exposition = TaskListReader(), Exposition()
        self.events = Events(readings, view)

    def app(self, hosts: tuple[str, ...] = ()) -> ASGIApp:
        """Return the application, for clients that ask for one of these hosts."""
        return Protection(
            Starlette(
                routes=[
                    Route("/", self.index),
                    Route("/events", self.events, methods=["GET", "HEAD"]),
                    Route("/metrics", self.metrics),
                    Route("/healthz", self.healthz),
                    Route("/readyz", self.readyz),
                    Route("/api/state", self.state),
                    Route("/api/stack/{process}", self.stack_text),
                    Route("/api/tasks/retry-failed", self.retry_failed, methods=["POST"]),
                    Route("/api/tasks/{task}/retry", self._changing("retry"), methods=["POST"]),
                    Route("/api/tasks/{task}/cancel", self._changing("cancel"), methods=["POST"]),
                    Route("/stack/{process}", self.stack),
                    Mount("/static", StaticFiles(directory=STATIC)),
                ]
            ),
            hosts,
        )

    async def index(self, _: Request) -> Response:
        """The status page."""
        reading = await self._readings.current()
        status = 200 if reading.state is not None else 503
        return HTMLResponse(document(self._view, reading).encode(errors="replace"), status)

    async def metrics(self, request: Request) -> Response:
        """The metrics, in the format that the client prefers."""
        state = (await self._readings.current()).state
        text, content_type = self._exposition.write(state, request.headers.get("accept", ""))
        return Response(text.encode(errors="replace"), headers={"content-type": content_type})

    async def healthz(self, _: Request) -> Response:
        """The server runs and answers."""
        reading = await self._readings.current()
        if reading.state is None:
            return JSONResponse({"status": "unavailable", "error": reading.error}, 503)
        return JSONResponse({"status": "ok", **_short(reading.state)})

    async def readyz(self, _: Request) -> Response:
        """The server is ready. A server with problems stays ready, since a restart would not help."""
        reading = await self._readings.current()
        if reading.state is None:
            return JSONResponse({"status": "unavailable", "error": reading.error}, 503)
        is_ready = reading.state.is_ready and not reading.state.is_stopping
        return JSONResponse(
            {"status": "ok" if is_ready else "not ready", **_short(reading.state)}, 200 if is_ready else 503
        )

    async def state(self, _: Request) -> Response:
        """The read model, as `heliograph status --json` prints it."""
        reading = await self._readings.current()
        if reading.state is None:
            return JSONResponse({"error": reading.error}, 503)
        return Response(msgspec.json.encode(reading.state), media_type="application/json")

    async def stack(self, request: Request) -> Response:
        """The stack of a process, as a page."""
        process = request.path_params["process"]
        try:
            return HTMLResponse(stack_document(process, await self._read_stack(process)).encode(errors="replace"))
        except LookupError as error:
            return HTMLResponse(stack_document(process, str(error.args[0])).encode(errors="replace"), 404)

    async def stack_text(self, request: Request) -> Response:
        """The stack of a process, as text."""
        try:
            return PlainTextResponse((await self._read_stack(request.path_params["process"])).encode(errors="replace"))
        except LookupError as error:
            return PlainTextResponse(str(error.args[0]).encode(errors="replace"), 404)

    async def retry_failed(self, request: Request) -> Response:
        """Retry all failed tasks of a function."""
        return refusal(request, self._tokens) or await retry_failed(request, self._readings, self._store)

    def _changing(self, action: Literal["retry", "cancel"]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            refused = refusal(request, self._tokens)
            return refused or await change(request, action, self._readings, self._store)

        return endpoint


def _short(state: ServerState) -> dict[str, object]:
    return {
        "name": state.name,
        "ready": state.is_ready,
        "stopping": state.is_stopping,
        "generation": state.generation,
        "problems": [problem.code for problem in state.problems],
    }
