"""What a process that ended still had: given out again, left to its successor, or set aside."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from heliograph._core.signals.records import DONE, FETCHED, RECORD_BYTES, RUNNING, Record, encode, unfinished
from heliograph._core.signals.targets import readers_of
from heliograph._core.stats.counters import ProcessCounters
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Queue, Topology

_LOG = logging.getLogger("heliograph.master")

MAX_DELIVERY_ATTEMPTS = 3
"""A signal that this many processes in a row died of is set aside."""


class Redelivery:
    """Settles the hands of processes that ended. Only the master uses it, and only for a process that is gone."""

    def __init__(
        self,
        memory: SharedMemory,
        topology: Topology,
        queues: Sequence[Queue],
        pipes: Sequence[tuple[int, int]],
        slot: ProcessCounters,
    ) -> None:
        self._memory = memory
        self._topology = topology
        self._queues = queues
        self._pipes = pipes
        self._slot = slot

    def recover(self, process: Identity, *, timed_out: bool) -> None:
        """Give out again what the process had not done; `timed_out` says that its last handler took too long."""
        hand = self._memory.in_flight(process)
        for offset, record in unfinished(hand):
            begun, died = record.state != FETCHED, record.state == RUNNING
            reason = self._reason_to_drop(record, timed_out=timed_out) if begun else None
            if reason is not None:
                hand[offset] = DONE
                self._slot.dropped[record.num] += 1
                _LOG.error("signal %d, which %s had in hand, is not given out again: %s", record.num, process, reason)
                continue
            if begun:
                self._slot.redelivered[record.num] += 1
            again = Record(record.num, record.queue, record.attempts + died, FETCHED)
            if self._is_shared(record.queue) and self._give_back(again):
                hand[offset] = DONE
            else:  # its successor begins with it
                hand[offset : offset + RECORD_BYTES] = encode(again)

    def _reason_to_drop(self, record: Record, *, timed_out: bool) -> str | None:
        if timed_out:
            self._slot.failed[record.num] += 1
            return "its handler ran into its time limit"
        route = self._memory.live[record.num]
        if route is not None and not route.redeliver:
            return "it was registered with redeliver=False"
        if record.state == RUNNING and record.attempts + 1 >= MAX_DELIVERY_ATTEMPTS:
            return f"{MAX_DELIVERY_ATTEMPTS} processes in a row ended with it in hand"
        return None

    def _is_shared(self, queue: int) -> bool:
        """Whether others read it too; else only a successor does, and what it finds in its hand keeps its order."""
        return len(readers_of(self._queues[queue], self._topology)) > 1

    def _give_back(self, record: Record) -> bool:
        try:
            os.write(self._pipes[record.queue][1], encode(record))
        except BlockingIOError:
            return False
        return True
