"""Rules for queues, and for signals in them."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.insights.findings import Finding, for_
from heliograph.insights.model import ProcessState, ServerState

BUSY = 5.0
"""Seconds for which all processes that read a queue must have been busy, so that the queue counts as slow."""
LONG_WAIT = 1.0
"""Seconds. If half of the signals of a number have waited longer, and others wait now, their queue is slow."""
NEARLY_FULL = 0.8
"""Part of a queue's capacity."""
REJECTED = 300.0
"""Seconds for which a rejected send is a problem."""


def nearly_full(state: ServerState) -> Iterator[Finding]:
    """Find queues that take few more signals."""
    for queue in state.queues:
        if queue.capacity and queue.queued >= NEARLY_FULL * queue.capacity:
            yield Finding(
                queue.name,
                f"the queue of {queue.name} has {queue.queued} signals of {queue.capacity} that it can take.",
                "Send less, or start more processes for this target: soon senders have to wait.",
            )


def slow(state: ServerState) -> Iterator[Finding]:
    """Find queues whose signals wait because all of their processes are busy."""
    processes, found = {process.name: process for process in state.processes}, False
    for queue in state.queues:
        readers = [processes[name] for name in queue.readers if name in processes]
        # A process may have fetched all that is queued for it.
        queued = processes[queue.name].queued if queue.name in processes else queue.queued
        since = _all_busy_since(readers)
        if queued and since is not None and state.looked_at - since > BUSY:
            found = True
            yield Finding(
                queue.name,
                f"{queued} signals for {queue.name} wait: it has been busy for {for_(state.looked_at - since)}.",
                "Start more processes for this target, or shorten its handlers.",
                since,
            )
    for signal in () if found else state.signals:
        if signal.queued and signal.waited.p50 is not None and signal.waited.p50 > LONG_WAIT:
            name = signal.name or str(signal.num)
            yield Finding(
                name,
                f"half of the signals {name} wait longer than {signal.waited.p50:.2g} s.",
                f"Start more processes for the target {signal.target}, or shorten its handlers.",
            )


def rejected(state: ServerState) -> Iterator[Finding]:
    """Find sends that failed a short time ago."""
    at = state.rejected_at
    if at is not None and state.looked_at - at <= REJECTED:
        yield Finding(
            "queues",
            f"{state.rejected} sends were rejected since the start, the last one {for_(state.looked_at - at)} ago.",
            "Find the full queue with `heliograph signals`, send less, or start more processes for its target.",
            at,
        )


def _all_busy_since(readers: list[ProcessState]) -> float | None:
    """Return the time since which all of these processes have been busy. None: one is not, or there is none."""
    since = [min(running.since for running in reader.running) for reader in readers if reader.running]
    return max(since) if since and len(since) == len(readers) else None
