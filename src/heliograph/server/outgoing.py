"""The master's own view of the queues: raise a signal, and see what waits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from heliograph._core.accounts import Slot
from heliograph._core.records import WAITING, Record, encode, held
from heliograph._core.targets import parse, queues, readers_of
from heliograph.engines.local.memory import Memory
from heliograph.engines.local.queues import has_room, waiting_records
from heliograph.values import Identity, Queue, Topology


class Outgoing:
    """Raises signals for the master, and counts what has not been taken."""

    def __init__(
        self,
        memory: Memory,
        topology: Topology,
        order: Sequence[Queue],
        pipes: Sequence[tuple[int, int]],
        slot: Slot,
    ) -> None:
        self._memory = memory
        self._topology = topology
        self._order = order
        self._pipes = pipes
        self._slot = slot

    def raise_signal(self, num: int) -> bool:
        """Put a registered signal into its queues, all or none; False if one of them is full."""
        pipes = [(number, self._pipes[number]) for number in map(self._order.index, self._queues_of(num))]
        if not all(has_room(write) for _, (_, write) in pipes):
            return False
        for number, (_, write) in pipes:
            os.write(write, encode(Record(num, number)))
        self._slot.sent[num] += 1
        return True

    def is_waiting(self, num: int) -> bool:
        """Whether a signal of that number has not been taken yet.

        A full pipe cannot be looked into, so the accounts decide where something is in it; where nothing is, they are
        not asked: a count that a killed process left wrong would stay wrong.
        """
        where = self._queues_of(num)
        for queue in where:
            for who in readers_of(queue, self._topology):
                if any(r.num == num and r.state == WAITING for _, r in held(self._memory.hand(who))):
                    return True
        if not any(waiting_records(self._pipes[self._order.index(queue)][0]) for queue in where):
            return False
        total = self._memory.accounts.total
        return total("sent", num) * len(where) + total("redelivered", num) > total("taken", num)

    def quiet(self) -> bool:
        """Whether no signal waits and none is in hand anywhere."""
        return not any(waiting_records(read) for read, _ in self._pipes) and not any(self._held())

    def waiting(self) -> int:
        """How many records wait in queues, or were taken from them and not begun."""
        taken = sum(record.state == WAITING for record in self._held())
        return taken + sum(waiting_records(read) for read, _ in self._pipes)

    def _queues_of(self, num: int) -> tuple[Queue, ...]:
        route = self._memory.live[num]
        if route is None:
            return ()
        target = parse(route.target, self._topology)
        running = tuple(who.number for who in self._memory.processes if who.role == "worker" and self._pid(who))
        return queues(target, self._topology, running)

    def _pid(self, who: Identity) -> int:
        return self._memory.accounts.slots[self._memory.slot_number(who)].pid

    def _held(self) -> Iterator[Record]:
        for who in self._memory.processes:
            for _, record in held(self._memory.hand(who)):
                yield record
