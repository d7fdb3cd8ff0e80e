"""Signals and their handlers, and a task. The heliograph server and every web worker import this module."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from heliograph import Signal, engines, task

STOCK = Path(os.environ.get("STOCK_DIRECTORY", "stock"))
"""Directory with a file for each item. The file contains the quantity."""
TOTAL = STOCK / ".total"

LISTENERS: set[asyncio.Queue[dict[str, int]]] = set()
"""A queue for each open connection of this worker."""

changed = Signal()
count = Signal()


@count.register_handler("mule1")
async def count_all() -> None:
    """Compute the total, in the mule on its own event loop."""
    await asyncio.to_thread(write, TOTAL, sum(read_stock().values()))
    changed.send()


@changed.register_handler("workers")
async def notify_listeners() -> None:
    """Notify all listeners, in every web worker on the event loop of its server, where the queues are used."""
    stock = await asyncio.to_thread(read_stock)
    for listener in LISTENERS:
        listener.put_nowait({**stock, "total": int(TOTAL.read_text())})
    print(f"{engines.current().identity}: notified {len(LISTENERS)}\n", end="", flush=True)


@task(retries=5, backoff=10)
async def order_more(name: str, to: str) -> str:
    """Mail the supplier, in the spooler. The task is stored, so it survives every restart."""
    text = f"mail to {to}: we need {name}"
    print(f"{engines.current().identity}: {text}\n", end="", flush=True)
    return text


def read_stock() -> dict[str, int]:
    """Return the quantity of each item."""
    return {path.name: int(path.read_text()) for path in sorted(STOCK.glob("[a-z]*"))}


def write(path: Path, number: int) -> None:
    """Write a number atomically: readers see the old number or the new one."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    unfinished.write_text(str(number))
    unfinished.replace(path)
