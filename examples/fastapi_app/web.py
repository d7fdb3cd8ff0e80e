"""The pages. The lifespan has handlers come to their end before the loop does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import FastAPI, Path
from fastapi.responses import StreamingResponse

from heliograph import uwsgi
from heliograph.contrib.asgi import lifespan

from . import tasks

app = FastAPI(lifespan=lifespan)


@app.get("/")
def stock() -> dict[str, object]:
    """What there is, and who answers."""
    return {"worker": uwsgi.worker_id, "stock": tasks.read_stock()}


@app.put("/stock/{name}/{number}", status_code=202)
def change_stock(name: Annotated[str, Path(pattern="^[a-z]+$")], number: int) -> None:
    """Write it down, and have it counted; then all listeners are told."""
    tasks.write(tasks.STOCK / name, number)
    tasks.count.send()


@app.get("/changes")
async def changes() -> StreamingResponse:
    """A line for each change, as it happens: `curl -N`."""
    return StreamingResponse(_listen(), media_type="application/x-ndjson")


async def _listen() -> AsyncGenerator[str]:
    listener: asyncio.Queue[dict[str, int]] = asyncio.Queue()
    tasks.LISTENERS.add(listener)
    try:
        yield json.dumps({"worker": uwsgi.worker_id}) + "\n"
        while True:
            yield json.dumps(await listener.get()) + "\n"
    finally:
        tasks.LISTENERS.discard(listener)
