"""The shared memory and the queues of a server, as its master uses them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from heliograph._core.stats.counters import ProcessCounters
from heliograph.ipc.pipes import make_pipes, server_queues
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Queue, Topology


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

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.memory.fd)
        for pipe in self.pipes:
            for fd in pipe:
                os.close(fd)
