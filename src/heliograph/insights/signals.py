"""Signals and what runs now, as the shared memory of a server describes them."""

from __future__ import annotations

from typing import Any

from heliograph._core.signals.records import FETCHED, unfinished
from heliograph._core.stats.durations import DurationTotals
from heliograph._core.stats.histogram import Histogram
from heliograph._core.stats.signal_rows import signal_rows
from heliograph.insights.model import Distribution, Running, SignalState
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Topology

NO_DURATIONS = Distribution(0, 0.0, (), None, None, None)
_NANOSECONDS = 1e9


class SignalReader:
    """Reads the signals of a server at one moment."""

    def __init__(self, memory: SharedMemory, topology: Topology, offset: float) -> None:
        """`offset` are the seconds from the monotonic clock to the time since 1970."""
        self._memory = memory
        self._topology = topology
        self._offset = offset
        self._identities = {process.title: process for process in memory.processes}
        self._internal = set(memory.live.wakeups())
        """Signals that wake processes for tasks."""

    def look(self, in_queues: int) -> tuple[SignalState, ...]:
        """Return all signals with a handler, without internal ones. `in_queues` is the number in all queues."""
        memory, durations = self._memory, self._memory.durations()
        queued = in_queues + sum(map(self._fetched, memory.processes))
        rows = signal_rows(memory.live, memory.names, memory.counters, self._topology, queued)
        return tuple(_signal(row, durations) for row in rows if row["num"] not in self._internal)

    def rejected(self) -> tuple[int, float | None]:
        """Return the number of rejected sends, and the time of the last one."""
        totals = self._memory.counters.totals()
        return totals.rejected, self._wall(totals.rejected_at) if totals.rejected_at else None

    def running(self, process: str) -> list[Running]:
        """Return what a process runs now, the innermost handler at the end. Nothing is judged yet."""
        if (identity := self._identities.get(process)) is None:
            return []
        memory = self._memory
        signals = memory.running(identity)
        found = [self._handler(num, since) for num, since in signals if since and num not in self._internal]
        if (task := memory.activity(identity).task()) is not None:
            found.append(Running("task", task.name, task.name, self._wall(task.since), task.id))
        return sorted(found, key=lambda running: running.since)

    def memory_at_start(self, process: str) -> int | None:
        """Return the resident memory of a process when it became ready. None: it is not known."""
        identity = self._identities.get(process)
        return None if identity is None else self._memory.activity(identity).ready_memory or None

    def handled(self, process: str) -> int:
        """Return the number of signals that a process and its predecessors have handled."""
        if (identity := self._identities.get(process)) is None:
            return 0
        slot = self._memory.counters.slots[self._memory.slot_number(identity)]
        return sum(slot.done) + sum(slot.failed)

    def fetched(self, process: str) -> int:
        """Return the number of signals that a process has taken from its queues and not started."""
        identity = self._identities.get(process)
        return 0 if identity is None else self._fetched(identity)

    def _fetched(self, process: Identity) -> int:
        return sum(record.state == FETCHED for _, record in unfinished(self._memory.in_flight(process)))

    def _handler(self, num: int, since: int) -> Running:
        route = self._memory.live[num]
        name = self._memory.names[num] or str(num)
        return Running("signal", name, route.handler if route is not None else "", self._wall(since))

    def _wall(self, nanoseconds: int) -> float:
        return nanoseconds / _NANOSECONDS + self._offset


def distribution(histogram: Histogram) -> Distribution:
    """Return a histogram as a value of the read model."""
    if not (count := histogram.count):
        return NO_DURATIONS
    p50, p95, p99 = histogram.quantiles(0.5, 0.95, 0.99)
    return Distribution(count, histogram.total, histogram.rows(), p50, p95, p99)


def longest(found: Distribution) -> float | None:
    """Return an upper bound of the longest duration in seconds. None: there is none."""
    return found.buckets[-1][0] if found.buckets else None


def _signal(row: dict[str, Any], durations: DurationTotals) -> SignalState:
    num = row["num"]
    return SignalState(
        num=num,
        name=row["name"],
        target=row["target"],
        handler=row["handler"],
        sent=row["sent"],
        done=row["done"],
        failed=row["failed"],
        redelivered=row["redelivered"],
        dropped=row["dropped"],
        coalesced=row["coalesced"],
        queued=row["queued"],
        waited=distribution(durations.waited(num)),
        ran=distribution(durations.ran(num)),
    )
