"""The shared memory and the queues of a server, as its master uses them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Self

from heliograph._core.signals.records import RECORD_BYTES
from heliograph._core.stats.counters import ProcessCounters
from heliograph.ipc.pipes import (
    MAX_PIPE_BYTES,
    PAGES_LIMIT,
    intended_pipe_bytes,
    make_pipes,
    pipe_bytes,
    server_queues,
)
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Queue, Topology

_LOG = logging.getLogger("heliograph.master")

_SMALL = "Some queues take only %d signals instead of %d: the pages for pipes of the user are used up (limit: %s)"


@dataclass(frozen=True, slots=True)
class ServerQueues:
    """Everything that is needed to put records into queues and to count them."""

    memory: SharedMemory
    topology: Topology
    queues: tuple[Queue, ...]
    """All queues. The index of a queue is its number in the records."""
    pipes: tuple[tuple[int, int], ...]
    """Descriptors of each queue, to read and to write."""
    counters: ProcessCounters
    """The master's own counters."""

    @classmethod
    def of(cls, memory: SharedMemory, topology: Topology, pipes: tuple[tuple[int, int], ...]) -> Self:
        """Return the queues over existing shared memory and pipes."""
        counters = memory.counters.slots[memory.slot_number(Identity("master"))]
        return cls(memory, topology, server_queues(topology), pipes, counters)

    @classmethod
    def create(cls, topology: Topology) -> Self:
        """Create the shared memory and the pipes."""
        memory = SharedMemory.create(topology)
        try:
            return cls.of(memory, topology, make_pipes(topology))
        except BaseException:
            os.close(memory.fd)
            raise

    def warn_if_small(self) -> None:
        """Log if the queues take fewer signals than they should: senders wait earlier then."""
        smallest = min((pipe_bytes(write) for _, write in self.pipes), default=MAX_PIPE_BYTES)
        intended = intended_pipe_bytes(self.topology)
        if smallest < intended:
            _LOG.warning(_SMALL, smallest // RECORD_BYTES, intended // RECORD_BYTES, PAGES_LIMIT)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.memory.fd)
        for pipe in self.pipes:
            for fd in pipe:
                os.close(fd)
