"""Redelivery: what happens to the signals that were in flight in a process when it exited."""

from __future__ import annotations

import logging
import os
import time

from heliograph._core.signals.records import (
    DONE,
    FETCHED,
    LIMITED_BYTE,
    RECORD_BYTES,
    RUNNING,
    Record,
    encode,
    unfinished,
)
from heliograph._core.signals.targets import readers_of
from heliograph.models import SIGNALS, Identity
from heliograph.server.server_queues import ServerQueues

_LOG = logging.getLogger("heliograph.master")

MAX_DELIVERY_ATTEMPTS = 3
"""A signal is dropped when this many processes in a row exited while handling it."""


class Redelivery:
    """Empties in-flight buffers. Only the master uses it, and only for processes that have exited."""

    def __init__(self, queues: ServerQueues) -> None:
        self._queues = queues

    def recover(self, process: Identity, *, timed_out: bool) -> None:
        """Redeliver what a process had not finished. `timed_out`: one of its handlers exceeded its time
        limit. The others were waiting for it, or it for them."""
        counters = self._queues.counters
        # Senders must not rely on what is parked, since another process may take it from now on.
        self._queues.memory.parked(process)[:] = bytes(SIGNALS)
        self._queues.memory.activity(process).clear()
        buffer = self._queues.memory.in_flight(process)
        for offset, record in unfinished(buffer):
            started, was_running = record.state != FETCHED, record.state == RUNNING
            exceeded = timed_out and bool(buffer[offset + LIMITED_BYTE])
            reason = self._reason_to_drop(record, timed_out=exceeded) if started else None
            if reason is not None:
                buffer[offset] = DONE
                counters.dropped[record.num] += 1
                _LOG.error("Dropped signal %d, which was in flight in %s: %s", record.num, process, reason)
                continue
            if started:
                counters.redelivered[record.num] += 1
            attempts = 0 if self._is_wakeup(record.num) else record.attempts + was_running
            again = Record(record.num, record.queue, attempts, FETCHED, time.monotonic_ns())
            if self._is_shared(record.queue) and self._put_back(again):
                buffer[offset] = DONE
            else:  # The successor of the process takes it from the buffer first.
                buffer[offset : offset + RECORD_BYTES] = encode(again)

    def _reason_to_drop(self, record: Record, *, timed_out: bool) -> str | None:
        if timed_out:
            self._queues.counters.failed[record.num] += 1
            return "its handler exceeded the time limit"
        route = self._queues.memory.live[record.num]
        if route is not None and not route.redeliver:
            return "it was registered with redeliver=False"
        if route is not None and route.wakeup:
            return None  # the store counts how many processes a task has killed
        if record.state == RUNNING and record.attempts + 1 >= MAX_DELIVERY_ATTEMPTS:
            return f"{MAX_DELIVERY_ATTEMPTS} processes in a row exited while handling it"
        return None

    def _is_wakeup(self, num: int) -> bool:
        route = self._queues.memory.live[num]
        return route is not None and route.wakeup

    def _is_shared(self, queue: int) -> bool:
        """Return True if other processes read the queue too. If not, the buffer of the successor keeps the order."""
        return len(readers_of(self._queues.queues[queue], self._queues.topology)) > 1

    def _put_back(self, record: Record) -> bool:
        try:
            os.write(self._queues.pipes[record.queue][1], encode(record))
        except BlockingIOError:
            return False
        return True
