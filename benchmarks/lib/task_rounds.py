"""Measure a task queue on a fresh server: enqueue, run, wait, memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from lib import redis_server
from lib.repetitions import percentile
from lib.task_counters import Counted, TaskCounters
from lib.task_queues import TaskQueue, ask, ask_web_server, workers

_RUN_TIMEOUT = 60.0
"""Seconds until all tasks must have run."""

_QUIET_TIME = 0.2
"""Seconds after the last task, so that a second run of a task shows, and the server is idle."""

_LATE = 0.5
"""If the second process runs its first task after this part of the tasks, the rate is that of the whole run."""


class Round(NamedTuple):
    """Figures of one queue in one turn."""

    enqueue: float
    """Tasks per second, one by one."""
    many: float
    """Tasks per second in calls of 1,000. 0: not measured."""
    run: float
    """Tasks per second that two processes run."""
    p50: float
    """Milliseconds from the enqueue to the first line of the task, on an idle server."""
    p99: float
    samples: int
    pss: float
    """kB of all processes of the idle server."""
    processes: int
    joined: tuple[float, float] | None = None
    """p50 and p99 if a process of the server's web server enqueues. None: the queue has no such server."""

    @property
    def nearest(self) -> tuple[float, float]:
        """p50 and p99 as an application sees them: from a web worker of the server if there is one."""
        return self.joined or (self.p50, self.p99)


@contextmanager
def folder_of(queue: TaskQueue) -> Generator[Path]:
    """Make a directory for a run, with a Redis server in it if the queue needs one, and tables."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if queue.redis:
            stack.enter_context(redis_server.redis(folder))
        ask(queue, folder, "setup")
        yield folder


def measure(queue: TaskQueue, part: int, samples: int) -> Round:
    """Measure a queue with its tasks divided by `part`, and with so many timed tasks.

    Raises:
        RuntimeError: Not all tasks ran, or some ran twice.
    """
    with folder_of(queue) as folder:
        count, bulk = queue.tasks // part, queue.bulk // part
        enqueue = ask(queue, folder, "enqueue", count)["per_second"]
        many = ask(queue, folder, "enqueue_many", bulk) if bulk else {"per_second": 0.0, "count": 0}
        counters = TaskCounters(folder)
        with workers(queue, folder) as processes:
            run = run_rate(counters, count + int(many["count"]))
            waits = ask(queue, folder, "latency", samples)["ns"]
            time.sleep(_QUIET_TIME)
            pids = processes()
            memory = sum(map(pss, pids))
        joined = None
        if queue.web_server:
            joined = _percentiles(ask_web_server(queue, folder, "joined_latency", samples)["ns"])
    return Round(enqueue, many["per_second"], run, *_percentiles(waits), len(waits), memory, len(pids), joined)


def _percentiles(waits: list[float]) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds."""
    return percentile(waits, 50) / 1e6, percentile(waits, 99) / 1e6


def run_rate(counters: TaskCounters, expected: int) -> float:
    """Wait until all tasks have run. Return the tasks per second, from when both processes were running tasks."""
    deadline = time.monotonic() + _RUN_TIMEOUT
    samples: list[tuple[int, int]] = []
    while _total(counters) < expected:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{_total(counters)} of {expected} tasks ran within {_RUN_TIMEOUT:g} s")
        time.sleep(0.002)
        samples.append((time.monotonic_ns(), _total(counters)))
    time.sleep(_QUIET_TIME)
    found = counters.read()
    if _total(counters) != expected:
        raise RuntimeError(f"{_total(counters)} runs of {expected} tasks")
    both, last = max(counted.first for counted in found), max(counted.last for counted in found)
    before = max((count for at, count in samples if at <= both), default=0)
    if before > expected * _LATE:
        both, before = min(counted.first for counted in found), 0
    return (expected - before) / (last - both) * 1e9


def pss(pid: int) -> float:
    """Return the memory of a process in kB. A page that N processes share counts as 1/N."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _total(counters: TaskCounters) -> int:
    return sum(map(_count, counters.read()))


def _count(counted: Counted) -> int:
    return counted.tasks
