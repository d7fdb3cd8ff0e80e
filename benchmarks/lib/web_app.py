"""The application that web servers serve: a page of about 1 KB, built per request from prices that signals replace.

With `heliograph run`, the remote signal `PACE` makes a mule send these signals: `RATE` per second for BENCH_SECONDS.
The mule catches up if it is late, so the number of signals is known. With BENCH_COALESCE each worker runs once for all
signals that are queued. With BENCH_PIPES, a directory, a bare thread in each worker calls the same function.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from heliograph import Signal
from lib import bare_thread

RATE = 1000
"""Signals per second."""

REPLACE, PACE = Signal(17), Signal(18)

_PRICES = {f"article-{number}": {"price": number * 1.25, "currency": "EUR"} for number in range(18)}
_TURN = itertools.cycle(_PRICES)
_SERIAL = itertools.count()
_HEADERS = {"Content-Type": "application/json"}


@REPLACE.register_handler("workers", coalesce="BENCH_COALESCE" in os.environ)
def replace_price() -> None:
    """Replace one price. Each worker has its own prices."""
    _PRICES[next(_TURN)] = {"price": next(_SERIAL) * 1.25, "currency": "EUR"}


@PACE.register_handler("mule1", remote=True)
def send_steadily() -> None:
    """Send `RATE` signals per second, at a fixed rate on the monotonic clock."""
    start = time.monotonic()
    for number in range(RATE * int(os.environ["BENCH_SECONDS"])):
        time.sleep(max(0.0, start + number / RATE - time.monotonic()))
        REPLACE.send()


if "BENCH_PIPES" in os.environ:
    bare_thread.start(Path(os.environ["BENCH_PIPES"]), replace_price)


def wsgi(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer with the page (WSGI entry point, for gunicorn)."""
    body = _page()
    start_response("200 OK", [*_HEADERS.items(), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answer with the page (ASGI entry point, for uvicorn and granian)."""
    assert scope["type"] == "http"
    body = _page()
    headers = {**_HEADERS, "Content-Length": str(len(body))}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _page() -> bytes:
    return json.dumps({"prices": _PRICES, "at": time.time()}).encode()
