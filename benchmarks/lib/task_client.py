"""The process that enqueues: `python -m lib.task_client MODULE MEASUREMENT COUNT`. It prints JSON.

A process of its own, so that every library has a fresh interpreter, and so that nothing else runs in it.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from time import monotonic, monotonic_ns, sleep
from typing import Any

from lib.task_counters import FOLDER_ENV, TaskCounters

_WARM_UP = 10
"""Tasks that are enqueued before the time is taken: they open connections."""

_PAUSE = (0.005, 0.02)
"""Seconds between two timed tasks, random so that they do not follow the rhythm of a worker that polls."""

_LOST = 10.0
"""Seconds until a timed task is lost."""

_RECORD = b"x" * 200


def enqueue(app: Any, count: int) -> dict[str, Any]:
    """Enqueue tasks one by one."""
    app.enqueue(_WARM_UP)
    start = monotonic_ns()
    app.enqueue(count - _WARM_UP)
    return {"per_second": (count - _WARM_UP) / (monotonic_ns() - start) * 1e9}


def enqueue_many(app: Any, count: int) -> dict[str, Any]:
    """Enqueue tasks in calls of 1,000."""
    app.enqueue(_WARM_UP)
    calls = count // 1000
    start = monotonic_ns()
    for _ in range(calls):
        app.enqueue_many(1000)
    return {"per_second": calls * 1000 / (monotonic_ns() - start) * 1e9, "count": calls * 1000 + _WARM_UP}


def append(_app: Any, count: int) -> dict[str, Any]:
    """Append records to a file, each on the disk before the next: the limit for a sender that waits for the disk."""
    file = os.open(Path(os.environ[FOLDER_ENV]) / "append", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    start = monotonic_ns()
    for _ in range(count):
        os.write(file, _RECORD)
        os.fdatasync(file)
    return {"per_second": count / (monotonic_ns() - start) * 1e9}


def latency(app: Any, count: int, seconds: float = 3.0) -> dict[str, Any]:
    """Enqueue timed tasks, each when the last one has run. At most for some seconds."""
    counters = TaskCounters(Path(os.environ[FOLDER_ENV]))
    found: list[int] = []
    for _ in range(3):
        _timed(app, counters)
    end = monotonic() + seconds
    while len(found) < count and (monotonic() < end or not found):
        sleep(random.uniform(*_PAUSE))
        found.append(_timed(app, counters))
    return {"ns": found}


def joined_latency(app: Any, count: int) -> dict[str, Any]:
    """Join the server that has started this process, then measure the latency."""
    app.join()
    sleep(0.5)  # until the processes that run tasks have started
    return latency(app, count)


def _timed(app: Any, counters: TaskCounters) -> int:
    """Return the nanoseconds from before the enqueue to the first line of the task."""
    counters.clear_stamp()
    start = monotonic_ns()
    app.enqueue_timed()
    lost = monotonic() + _LOST
    while not counters.stamped():
        if monotonic() > lost:
            raise RuntimeError(f"the task was not run within {_LOST:g} s")
        sleep(0.0002)
    return counters.stamped() - start


def rounds(app: Any, count: int) -> dict[str, Any]:
    """Enqueue 1,000 tasks in one call, wait until they have run, and so on. Return the tasks run per second."""
    counters = TaskCounters(Path(os.environ[FOLDER_ENV]))
    found: list[float] = []
    for _ in range(count):
        sleep(0.02)
        counters.clear()
        app.enqueue_many(1000)
        lost = monotonic() + _LOST
        while sum(counted.tasks for counted in counters.read()) < 1000:
            if monotonic() > lost:
                raise RuntimeError(f"1,000 tasks were not run within {_LOST:g} s")
            sleep(0.001)
        processes = counters.read()
        spent = max(counted.last for counted in processes) - min(counted.first for counted in processes)
        found.append(1000 / spent * 1e9)
    return {"per_second": median(found)}


def times(app: Any, count: int) -> dict[str, Any]:
    """Enqueue tasks one by one, a millisecond after the last one. Return the nanoseconds of each."""
    app.enqueue(_WARM_UP)
    found: list[int] = []
    for _ in range(count):
        sleep(0.001)
        start = monotonic_ns()
        app.enqueue(1)
        found.append(monotonic_ns() - start)
    return {"ns": found}


def defer(app: Any, count: int) -> dict[str, Any]:
    """Enqueue tasks that are due tomorrow, 1,000 in one call."""
    for _ in range(count // 1000):
        app.defer_many(1000)
    return {}


def finish(app: Any, count: int) -> dict[str, Any]:
    """Store finished tasks that are to be removed at once."""
    app.finish_many(count)
    return {}


def setup(app: Any, _count: int) -> dict[str, Any]:
    """Make the tables of an application that needs some."""
    if hasattr(app, "setup"):
        app.setup()
    return {}


_MEASUREMENTS: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    function.__name__: function
    for function in (enqueue, enqueue_many, append, latency, joined_latency, rounds, times, defer, finish, setup)
}


if __name__ == "__main__":
    module, measurement, number = sys.argv[1:]
    answer = _MEASUREMENTS[measurement](import_module(module) if module != "-" else None, int(number))
    print(json.dumps(answer))
