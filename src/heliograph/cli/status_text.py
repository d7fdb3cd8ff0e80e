"""The state of a server for people: what is wrong first, then its processes, its signals and its tasks."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from heliograph._core.tasks.values import TaskStatus
from heliograph._core.units import duration, size
from heliograph.cli.tables import table
from heliograph.insights.model import Problem, ProcessState, ServerState, StoreState, TriggerState

WIDTH = 80
_COLUMNS = ("process", "pid", "state", "since", "restarts", "memory", "runs")
_MAX_RUNS = 24
"""Characters of the column `runs`."""
_LARGE_LOG = 64 << 20
"""Bytes of a write-ahead log that has not been shrunk for long."""


def server_lines(state: ServerState) -> Iterator[str]:
    """Yield the lines about a server and its tasks."""
    yield from _wrapped(headline(state))
    yield ""
    yield from problem_lines(state.problems)
    yield table(_COLUMNS, [_process_row(process, state.looked_at) for process in state.processes])
    yield ""
    yield from _wrapped(_signals(state))
    if state.triggers:
        yield from _wrapped(_triggers(state.triggers, state.looked_at))
    yield from store_lines(state.store) if state.store is not None else ["tasks: none are stored"]


def headline(state: ServerState) -> str:
    """Return what the server is, and how it is, in one sentence."""
    if state.is_stopping:
        how = "is stopping"
    elif not state.is_ready:
        how = "is starting" if not state.problems else f"is starting, {_count(state.problems)}"
    else:
        how = f"is degraded, {_count(state.problems)}" if state.problems else "is well"
    more = ", loading new code" if state.is_loading and state.generation else ""
    up = duration(state.looked_at - state.started_at)
    return f"{state.name} {how}{more}: {state.app}, generation {state.generation}, up {up}"


def problem_lines(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield what is wrong, and what to do, for each problem, and an empty line after it."""
    for problem in problems:
        yield from _wrapped(f"{problem.severity}: {problem.text}")
        yield from _wrapped(f"  {problem.advice} [{problem.code}]")
        yield ""


def store_lines(store: StoreState) -> Iterator[str]:
    """Yield the lines about the tasks and their store."""
    if store.fault is not None:
        yield from _wrapped(f"tasks: they cannot be read, in {store.directory}")
        return
    counts: Counter[str] = Counter()
    for task in store.tasks:
        counts.update(task.counts)
    numbers = ", ".join(f"{counts[status.value]} {status.value}" for status in TaskStatus if counts[status.value])
    yield from _wrapped(f"tasks: {numbers or 'none'}, in {store.directory}")
    if store.paused:
        yield from _wrapped(f"paused: {', '.join(store.paused)}")
    for task in store.tasks:
        if task.held_back and task.counts.get("READY"):
            yield from _wrapped(f"held back: {task.name} ({task.held_back} reached)")
    log = f"write-ahead log {size(store.log_bytes)}"
    if store.log_bytes > _LARGE_LOG:
        log += " (a program that reads the file keeps it from being shrunk)"
    yield from _wrapped(f"files: {size(store.bytes)}, {log}, free: {size(store.free_bytes)}")
    yield from _wrapped(f"warning: {store.warning}" if store.warning else f"SQLite {store.sqlite}")


def _process_row(process: ProcessState, now: float) -> dict[str, object]:
    return {
        "process": process.name,
        "pid": process.pid or "-",
        "state": process.status,
        "since": "-" if process.since is None else duration(now - process.since),
        "restarts": process.restarts,
        "memory": "-" if process.memory is None else size(process.memory),
        "runs": _runs(process, now),
    }


def _runs(process: ProcessState, now: float) -> str:
    """Return what a process runs, and for how long. The last one is the innermost."""
    if not process.running:
        return ""
    running = process.running[-1]
    since = duration(now - running.since)
    name = running.handler or running.name
    width = _MAX_RUNS - len(since) - 1
    return f"{name if len(name) <= width else f'..{name[2 - width :]}'} {since}"


def _signals(state: ServerState) -> str:
    found = state.signals
    queued = sum(queue.queued for queue in state.queues)
    text = f"signals: {len(found)} with a handler, {sum(signal.sent for signal in found)} sent"
    text += f", {sum(signal.failed for signal in found)} failed, {queued} queued"
    return f"{text}, {state.rejected} sends rejected"


def _triggers(triggers: Sequence[TriggerState], now: float) -> str:
    text = f"triggers: {len(triggers)}, {sum(trigger.missed for trigger in triggers)} runs missed"
    coming = [(trigger.next, trigger.name) for trigger in triggers if trigger.next is not None]
    if not coming:
        return text
    at, name = min(coming)
    return f"{text}, next: {name} in {duration(at - now)}"


def _count(problems: Sequence[Problem]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _wrapped(text: str) -> list[str]:
    """Return a text in lines that fit. A long name stays as it is."""
    indent = "  " if text.startswith("  ") else ""
    return textwrap.wrap(
        text.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
