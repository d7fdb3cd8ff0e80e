"""The application: handlers and senders that count what they do. It runs on every engine."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliograph import Signal, engines, uwsgi
from heliograph.exceptions import SignalQueueFull

from .history import Counts, open_counts
from .workload import CLOSE, DIRECTORY, HISTORY, RATE, SENDERS, STOP, WORKLOAD

_LOADED = time.monotonic_ns()
_PAUSE = 0.01
"""Seconds between two bursts of a sender."""
_WORK = 0.0002
"""Duration of a handler in seconds, long enough that a kill often interrupts one."""
_FLOOD = 30
"""Factor for one burst in fifty. All its signals have the same number, so that a queue fills."""

_counts: Counts
_close: Path | None = None
"""The file that makes this process close its descriptors. None in a worker, since its web server needs them."""


def handle(num: int) -> None:
    """The handler of all signals."""
    _counts.started[num] += 1
    time.sleep(_WORK)
    _counts.finished[num] += 1
    if _close is not None and _close.exists():
        _close_descriptors(_close)


for _num, _kind in WORKLOAD.items():
    Signal(_num).register_handler(_kind.target)(handle)


@uwsgi.postfork_hooks.add()
def start() -> None:
    """Start to count and, in a sender, to send."""
    global _counts, _close
    process = str(engines.current().identity)
    _counts = open_counts(Path(os.environ[DIRECTORY]) / HISTORY, process, os.getpid(), _LOADED)
    if not process.startswith("worker"):
        _close = Path(os.environ[DIRECTORY]) / CLOSE
    if process in SENDERS:
        threading.Thread(target=_send, name="chaos-sender", daemon=True).start()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:  # noqa: ARG001
    """Answer 204 to every request (WSGI entry point for web servers)."""
    start_response("204 No Content", [])
    return []


def _close_descriptors(request: Path) -> None:
    try:
        request.unlink()
    except FileNotFoundError:
        return  # another process was faster
    os.closerange(0, 1 << 16)


def _send() -> None:
    stop = Path(os.environ[DIRECTORY]) / STOP
    burst = max(1, round(float(os.environ[RATE]) * _PAUSE))
    while True:
        if stop.exists():
            time.sleep(_PAUSE)
            continue
        flood = random.random() < 1 / 50  # noqa: S311 - not for cryptography
        nums = random.choices(tuple(WORKLOAD)) * (burst * _FLOOD) if flood else random.choices(tuple(WORKLOAD), k=burst)  # noqa: S311
        for num in nums:
            _send_one(num)
        time.sleep(_PAUSE)


def _send_one(num: int) -> None:
    _counts.attempted[num] += 1
    try:
        Signal(num).send()
    except (SignalQueueFull, OSError):
        return  # attempted, not accepted: some receivers of a broadcast may have got it, or the queues are closed
    _counts.accepted[num] += 1
