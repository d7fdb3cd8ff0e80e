"""The scenarios, one module each. `run(plan)` measures and returns a report."""

from collections.abc import Callable

from lib.repetitions import Plan
from lib.report import Report

from scenarios import (
    broadcast,
    burst,
    idle,
    imports,
    latency,
    memory,
    regression,
    send,
    sustained,
    task_backlog,
    tasks,
    timers,
    web,
)

SCENARIOS: dict[str, Callable[[Plan], Report]] = {
    "send": send.run,
    "latency": latency.run,
    "burst": burst.run,
    "sustained": sustained.run,
    "broadcast": broadcast.run,
    "memory": memory.run,
    "idle": idle.run,
    "timers": timers.run,
    "imports": imports.run,
    "web": web.run,
    "tasks": tasks.run,
    "task_backlog": task_backlog.run,
    "regression": regression.run,
}
"""Scenarios by name, in the order in which they run."""
