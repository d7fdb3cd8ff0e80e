"""What happens at signals. Imported by the server, and by every process that serves pages."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from heliograph import Signal, engines

STOCK = Path(os.environ.get("STOCK_DIRECTORY", "stock"))
"""A file for each thing that there is, with its number."""
TOTAL = STOCK / ".total"

LISTENERS: set[asyncio.Queue[dict[str, int]]] = set()
"""Those who listen to this process: a queue for each open connection."""

changed = Signal()
count = Signal()


@count.register_handler("mule1")
async def count_all() -> None:
    """In the mule, on a loop of its own."""
    await asyncio.to_thread(write, TOTAL, sum(read_stock().values()))
    changed.send()


@changed.register_handler("workers")
async def tell_listeners() -> None:
    """In every web process, on its server's loop: so it may use the queues that the pages wait on."""
    stock = await asyncio.to_thread(read_stock)
    for listener in LISTENERS:
        listener.put_nowait({**stock, "total": int(TOTAL.read_text())})
    print(f"{engines.current().identity}: told {len(LISTENERS)}\n", end="", flush=True)


def read_stock() -> dict[str, int]:
    """What there is of everything."""
    return {path.name: int(path.read_text()) for path in sorted(STOCK.glob("[a-z]*"))}


def write(path: Path, number: int) -> None:
    """Whoever reads meanwhile finds the old number or the new one."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    unfinished.write_text(str(number))
    unfinished.replace(path)
