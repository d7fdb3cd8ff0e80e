"""The master's own view of the queues: raise a signal, and see what waits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from heliograph._core.signals.records import FETCHED, Record, encode, unfinished
from heliograph._core.signals.targets import parse, queues, readers_of
from heliograph._core.stats.counters import ProcessCounters
from heliograph._core.stats.signal_rows import signal_rows
from heliograph.ipc.pipes import has_room, queued_records
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Queue, Topology


class MasterQueues:
    """Raises signals for the master, and counts what has not been taken."""

    def __init__(
        self,
        memory: SharedMemory,
        topology: Topology,
        order: Sequence[Queue],
        pipes: Sequence[tuple[int, int]],
        slot: ProcessCounters,
    ) -> None:
        self._memory = memory
        self._topology = topology
        self._order = order
        self._pipes = pipes
        self._slot = slot
        self._settled: dict[tuple[int, int], int] = {}
        """What the accounts said of a signal with so many queues when nothing of it was waiting."""

    def send(self, num: int) -> bool:
        """Put a registered signal into its queues, all or none; False if one of them is full.

        One that others fill in the very moment is left out, and counted as refused.
        """
        pipes = [(number, self._pipes[number]) for number in map(self._order.index, self._queues_of(num))]
        if not all(has_room(write) for _, (_, write) in pipes):
            return False
        for place, (number, (_, write)) in enumerate(pipes):
            try:
                os.write(write, encode(Record(num, number)))
            except BlockingIOError:  # others filled it, by 256 records or more, since it was looked at
                if not place:
                    return False
                self._slot.count_rejected()
        if pipes:
            self._slot.sent[num] += 1
        return True

    def send_external(self, num: int, allowed: frozenset[int]) -> str | None:
        """Raise a signal that came from outside; why not, or None when it was taken."""
        route = self._memory.live[num]
        if route is None:
            return "nothing is registered for it"
        if not route.remote and num not in allowed:
            return "it may not be raised from outside (--allow-remote, or register_handler(remote=True))"
        if not self.send(num):
            self._slot.count_rejected()
            return "its queue is full"
        return None

    def is_queued(self, num: int) -> bool:
        """Whether a signal of that number has not been taken yet.

        A full pipe cannot be looked into, so the accounts decide where something is in it. A process that is killed
        beside its counting leaves them wrong for good, so they are compared with what they were when nothing waited.
        """
        where = self._queues_of(num)
        balance = self._balance(num, len(where))
        queued = any(queued_records(self._pipes[self._order.index(queue)][0]) for queue in where)
        if self._is_fetched(num, where):  # after the queues: a record goes from there into a hand
            return True
        if queued:
            return balance > self._settled.get((num, len(where)), 0)
        if balance == self._balance(num, len(where)):
            self._settled[num, len(where)] = balance
        return False

    def is_idle(self, without: frozenset[Identity] = frozenset()) -> bool:
        """Whether no signal waits and none is in hand, but for those that only processes `without` could take."""
        pipes = [
            read
            for queue, (read, _) in zip(self._order, self._pipes, strict=True)
            if not without.issuperset(readers_of(queue, self._topology))
        ]
        return not any(map(queued_records, pipes)) and not any(self._unfinished(without))

    def queued(self) -> int:
        """How many records wait in queues, or were taken from them and not begun."""
        taken = sum(record.state == FETCHED for record in self._unfinished())
        return taken + self.in_pipes()

    def in_pipes(self) -> int:
        """Return how many records no process has taken from the queues."""
        return sum(queued_records(read) for read, _ in self._pipes)

    def _balance(self, num: int, copies: int) -> int:
        """How many records of a signal were put into queues and not taken, as the accounts have it."""
        total = self._memory.counters.total
        return total("sent", num) * copies + total("redelivered", num) - total("started", num)

    def _is_fetched(self, num: int, where: Sequence[Queue]) -> bool:
        readers = {process for queue in where for process in readers_of(queue, self._topology)}
        return any(
            r.num == num and r.state == FETCHED
            for process in readers
            for _, r in unfinished(self._memory.in_flight(process))
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each registered signal, for people and programs."""
        memory = self._memory
        return signal_rows(memory.live, memory.names, memory.counters, self._topology, self.queued())

    def _queues_of(self, num: int) -> tuple[Queue, ...]:
        route = self._memory.live[num]
        if route is None:
            return ()
        target = parse(route.target, self._topology)
        running = tuple(
            process.number for process in self._memory.processes if process.role == "worker" and self._pid(process)
        )
        return queues(target, self._topology, running)

    def _pid(self, process: Identity) -> int:
        return self._memory.counters.slots[self._memory.slot_number(process)].pid

    def _unfinished(self, left_out: frozenset[Identity] = frozenset()) -> Iterator[Record]:
        for process in self._memory.processes:
            if process in left_out:
                continue
            for _, record in unfinished(self._memory.in_flight(process)):
                yield record
