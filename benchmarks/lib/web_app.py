"""The application that web servers serve: a page of some 1 KB, made for each request from prices that signals replace.

Under `heliograph run` a mule raises those signals when it is asked to, from outside, at a steady pace: `RATE` a second
for BENCH_SECONDS. What it is late it makes good, so that their number is certain.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph import Signal

RATE = 1000
"""Signals a second."""

REPLACE, PACE = Signal(17), Signal(18)

_PRICES = {f"article-{number}": {"price": number * 1.25, "currency": "EUR"} for number in range(18)}
_TURN = itertools.cycle(_PRICES)
_SERIAL = itertools.count()
_HEADERS = {"Content-Type": "application/json"}


@REPLACE.register_handler("workers")
def replace_price() -> None:
    """Each worker has prices of its own."""
    _PRICES[next(_TURN)] = {"price": next(_SERIAL) * 1.25, "currency": "EUR"}


@PACE.register_handler("mule1", remote=True)
def raise_steadily() -> None:
    """On a grid of the monotonic clock."""
    start = time.monotonic()
    for number in range(RATE * int(os.environ["BENCH_SECONDS"])):
        time.sleep(max(0.0, start + number / RATE - time.monotonic()))
        REPLACE.send()


def wsgi(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """The page for gunicorn."""
    body = _page()
    start_response("200 OK", [*_HEADERS.items(), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """The same for uvicorn and granian."""
    assert scope["type"] == "http"
    body = _page()
    headers = {**_HEADERS, "Content-Length": str(len(body))}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _page() -> bytes:
    return json.dumps({"prices": _PRICES, "at": time.time()}).encode()
