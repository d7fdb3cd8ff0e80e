"""heliograph with a thousand waiting tasks, with a million, and while a million are removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lib.process_usage import total, watch
from lib.repetitions import percentile
from lib.task_counters import TaskCounters
from lib.task_queues import ask, heliograph, workers
from lib.task_rounds import folder_of, pss

FEW = 1000

QUEUE = heliograph("process", 0, 0)

_START_TIMEOUT = 30.0
"""Seconds until a server runs tasks, or is ready."""


class Waiting(NamedTuple):
    """Figures with a number of waiting tasks."""

    enqueue: float
    """Tasks per second, one by one, while no server runs."""
    run: float
    """Tasks per second that two mules run."""
    size: float
    """Bytes on the disk per task. 0: not measured."""


class Deferred(NamedTuple):
    """Figures of an idle server whose tasks are due tomorrow."""

    master: float
    """PSS in kB."""
    spooler: float
    cpu_ns: float
    """CPU time of all processes per second."""
    switches: float
    """Voluntary context switches of all processes per second."""


def few(samples: int) -> Waiting:
    """Measure with a thousand waiting tasks. `samples` tasks are enqueued one by one."""
    with folder_of(QUEUE) as folder:
        ask(QUEUE, folder, "enqueue_many", FEW)
        enqueue = ask(QUEUE, folder, "enqueue", samples)["per_second"]
        with workers(QUEUE, folder):
            _wait(lambda: _ran(folder) >= FEW + samples)
            run = ask(QUEUE, folder, "rounds", 20)["per_second"]
        return Waiting(enqueue, run, 0.0)


def many(count: int, samples: int, seconds: float) -> Waiting:
    """Measure with `count` waiting tasks. The mules run tasks for some seconds."""
    with folder_of(QUEUE) as folder:
        before = _used(folder)
        ask(QUEUE, folder, "enqueue_many", count)
        size = (_used(folder) - before) / count
        enqueue = ask(QUEUE, folder, "enqueue", samples)["per_second"]
        with workers(QUEUE, folder):
            _wait(lambda: len(TaskCounters(folder).read()) > 1)
            start, ran = time.monotonic(), _ran(folder)
            time.sleep(seconds)
            run = (_ran(folder) - ran) / (time.monotonic() - start)
        return Waiting(enqueue, run, size)


def deferred(count: int, seconds: float) -> Deferred:
    """Measure an idle server with a spooler, while `count` tasks are due tomorrow."""
    with folder_of(QUEUE) as folder:
        queue = replace(QUEUE, environment={**QUEUE.environment, "HELIOGRAPH_SPOOLER": str(folder / "spool")})
        ask(queue, folder, "defer", count)
        with workers(queue, folder) as processes:
            _wait(lambda: len(_roles(processes())) >= len(("master", "fork", "mule1", "mule2", "spooler1")))
            time.sleep(1)
            used = total(watch(processes(), seconds).values())
            memory = {role: pss(pid) for role, pid in _roles(processes()).items()}
        return Deferred(memory["master"], memory["spooler1"], used.cpu_ns / seconds, used.voluntary / seconds)


def enqueue_p99(count: int, samples: int) -> tuple[float, float]:
    """Return the p99 of enqueue in milliseconds: on a server without finished tasks, and while `count` are removed."""
    with folder_of(QUEUE) as folder, workers(QUEUE, folder):
        before = _p99(folder, samples)
    with finished(count) as folder, workers(QUEUE, folder):
        return before, _p99(folder, samples)


@contextmanager
def finished(count: int) -> Generator[Path]:
    """Make a store with `count` finished tasks, which are to be removed at once."""
    with folder_of(QUEUE) as folder:
        ask(QUEUE, folder, "finish", count)
        yield folder


def _p99(folder: Path, samples: int) -> float:
    return percentile(ask(QUEUE, folder, "times", samples)["ns"], 99) / 1e6


def _used(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _ran(folder: Path) -> int:
    return sum(counted.tasks for counted in TaskCounters(folder).read())


def _roles(pids: list[int]) -> dict[str, int]:
    """Return the processes by the first word of their title after `heliograph:`."""
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text().strip("\0 ") for pid in pids}
    return {title.split()[1]: pid for pid, title in titles.items() if title.startswith("heliograph: ")}


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did nothing for {_START_TIMEOUT:g} s")
        time.sleep(0.01)
