"""The application: handlers and senders that count what they do. It runs in the server, on any engine."""

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
from .workload import DIRECTORY, HISTORY, OVER, RATE, SENDERS, WORKLOAD

_LOADED = time.monotonic_ns()
_PAUSE = 0.01
"""Seconds between two bursts of a sender."""
_WORK = 0.0002
"""Seconds that a handler takes: long enough that a kill often finds a process in the midst of one."""
_FLOOD = 30
"""How much longer one burst in fifty is, all of one number, so that queues and hands fill."""

_counts: Counts


def handle(num: int) -> None:
    """The handler of all signals."""
    _counts.started[num] += 1
    time.sleep(_WORK)
    _counts.finished[num] += 1


for _num, _kind in WORKLOAD.items():
    Signal(_num).register_handler(_kind.target)(handle)


@uwsgi.postfork_hooks.add()
def start() -> None:
    """Begin to count, and to send."""
    global _counts
    who = str(engines.current().identity)
    _counts = open_counts(Path(os.environ[DIRECTORY]) / HISTORY, who, os.getpid(), _LOADED)
    if who in SENDERS:
        threading.Thread(target=_send, name="chaos-sender", daemon=True).start()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:  # noqa: ARG001
    """For a web server: it answers every request with nothing."""
    start_response("204 No Content", [])
    return []


def _send() -> None:
    over = Path(os.environ[DIRECTORY]) / OVER
    burst = max(1, round(float(os.environ[RATE]) * _PAUSE))
    while not over.exists():
        flood = random.random() < 1 / 50  # noqa: S311 - no secret
        nums = random.choices(tuple(WORKLOAD)) * (burst * _FLOOD) if flood else random.choices(tuple(WORKLOAD), k=burst)  # noqa: S311
        for num in nums:
            _send_one(num)
        time.sleep(_PAUSE)


def _send_one(num: int) -> None:
    _counts.attempted[num] += 1
    try:
        Signal(num).send()
    except SignalQueueFull:
        return  # attempted and not taken: of a broadcast, some may have got theirs
    _counts.accepted[num] += 1
