"""Signals, as the counters in the shared memory of a server describe them."""

from __future__ import annotations

import msgspec

from heliograph._core.signals.records import FETCHED, unfinished
from heliograph._core.stats.signal_rows import signal_rows
from heliograph.insights.model import Distribution, SignalState
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Topology

NO_DURATIONS = Distribution(0, 0.0, (), None, None, None)
_NONE = {"count": 0, "total": 0.0, "buckets": (), "p50": None, "p95": None, "p99": None}


class SignalReader:
    """Reads the signals of a server at one moment."""

    def __init__(self, memory: SharedMemory, topology: Topology) -> None:
        self._memory = memory
        self._topology = topology
        self._identities = {process.title: process for process in memory.processes}

    def look(self, in_queues: int) -> tuple[SignalState, ...]:
        """Return all signals with a handler, without the ones that wake processes for tasks.

        `in_queues` is the number of signals in all queues.
        """
        memory = self._memory
        queued = in_queues + sum(map(self._fetched, memory.processes))
        internal = set(memory.live.wakeups())
        rows = signal_rows(memory.live, memory.names, memory.counters, self._topology, queued)
        return tuple(
            msgspec.convert({**row, "waited": _NONE, "ran": _NONE}, SignalState)
            for row in rows
            if row["num"] not in internal
        )

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
