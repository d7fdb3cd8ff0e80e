"""The pages. The lifespan lets running handlers finish before the event loop stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import FastAPI, Path
from fastapi.responses import StreamingResponse

from heliograph import aget_result, uwsgi
from heliograph.contrib.asgi import lifespan

from . import tasks

app = FastAPI(lifespan=lifespan)


@app.get("/")
def stock() -> dict[str, object]:
    """Return the stock and the number of this worker."""
    return {"worker": uwsgi.worker_id, "stock": tasks.read_stock()}


@app.put("/stock/{name}/{number}", status_code=202)
def change_stock(name: Annotated[str, Path(pattern="^[a-z]+$")], number: int) -> None:
    """Store the quantity. The mule then computes the total, and all workers notify their listeners."""
    tasks.write(tasks.STOCK / name, number)
    tasks.count.send()


@app.post("/orders/{name}", status_code=202)
async def order(name: Annotated[str, Path(pattern="^[a-z]+$")], to: str) -> dict[str, str]:
    """Accept an order. The supplier gets a mail later, whatever happens to this process."""
    result = await tasks.order_more.aenqueue(name, to)
    return {"task": result.id}


@app.get("/orders/{task_id}")
async def show_order(task_id: str) -> dict[str, str]:
    """Return the status of the mail."""
    return {"status": (await aget_result(task_id)).status}


@app.get("/changes")
async def changes() -> StreamingResponse:
    """Stream a line for each change. Try it with `curl -N`."""
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
