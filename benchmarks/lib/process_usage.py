"""Count how often processes wake up and how much CPU time they use."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

METHOD = (
    "context switches of all threads of a role's processes, from `/proc/PID/task/*/status`, and their CPU time, from "
    "`schedstat`"
)


class Usage(NamedTuple):
    """Context switches and CPU time of all threads of one or more processes."""

    voluntary: int
    involuntary: int
    cpu_ns: int


def watch(pids: Iterable[int], seconds: float) -> dict[int, Usage]:
    """Return what each process uses during the next `seconds`."""
    before = {pid: usage(pid) for pid in pids}
    time.sleep(seconds)
    return {pid: since(then, usage(pid)) for pid, then in before.items()}


def since(then: Usage, now: Usage) -> Usage:
    """Return the difference of two readings."""
    return Usage(*(a - b for a, b in zip(now, then, strict=True)))


def total(usages: Iterable[Usage]) -> Usage:
    """Return the sum over processes or threads."""
    return Usage(*map(sum, zip(*usages, strict=True)))


def usage(pid: int) -> Usage:
    """Return what a process has used since its start."""
    return total(_usage_of_thread(task) for task in Path(f"/proc/{pid}/task").iterdir())


def _usage_of_thread(task: Path) -> Usage:
    lines = [line.partition(":") for line in (task / "status").read_text().splitlines()]
    facts = {name: value.strip() for name, _, value in lines}
    cpu_ns = int((task / "schedstat").read_text().split()[0])
    return Usage(int(facts["voluntary_ctxt_switches"]), int(facts["nonvoluntary_ctxt_switches"]), cpu_ns)
