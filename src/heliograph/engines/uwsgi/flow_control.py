"""Gates: the way to a target's queues, which a sender goes through while there is room and waits at while there is not.

A gate holds `credit`: signals that this process may send before it asks the gauge again. Credit is for queues, so of
two gates to the same queue only one has any. It ends with a fork.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from heliograph._core.signals.targets import Target, all_queues, parse, queues, readers_of
from heliograph.engines.uwsgi import introspection
from heliograph.engines.uwsgi.capacity import QueueCapacity
from heliograph.exceptions import SignalQueueFull
from heliograph.interfaces import Clock
from heliograph.models import Identity, Queue, Topology

INITIAL_PAUSE = 0.00005
"""Seconds a held-back sender sleeps before it asks again; doubled each time. A mule empties 5 places meanwhile."""
_MAX_PAUSE = 0.002


@dataclass(slots=True)
class TargetCredit:
    """The way to one target. `rivals` are the gates to any of the same queues."""

    target: Target
    queues: tuple[Queue, ...]
    credit: int = 0
    overlapping: list[TargetCredit] = field(default_factory=list["TargetCredit"])


class FlowControl:
    """All gates of one process."""

    def __init__(self, topology: Topology, capacity: QueueCapacity, clock: Clock) -> None:
        self._topology = topology
        self._capacity = capacity
        self._clock = clock
        self._known: dict[str, TargetCredit] = {}
        self.unknown_target = TargetCredit(parse("worker", None), all_queues(topology))
        """The way of a signal whose target is not known: open while every queue is."""

    def to(self, target: str) -> TargetCredit:
        """The gate to a target."""
        understood = parse(target, self._topology)
        found = self._known.get(understood.text)
        if found is None:
            found = TargetCredit(understood, queues(understood, self._topology))
            for other in self._known.values():
                if not set(found.queues).isdisjoint(other.queues):
                    found.overlapping.append(other)
                    other.overlapping.append(found)
            self._known[understood.text] = found
        return found

    def reset(self) -> None:
        """Take back all credit: this is another process now."""
        for target_credit in (*self._known.values(), self.unknown_target):
            target_credit.credit = 0

    def acquire(self, target_credit: TargetCredit, num: int, timeout: float, process: Identity) -> None:
        """Give a gate credit, for signal `num` of process `who`; wait for room at most `timeout` seconds.

        Raises `SignalQueueFull`: at once if nobody but this very thread could make room.
        """
        room = self._room(target_credit)
        if room <= 0:
            room = self._await_room(target_credit, num, timeout, process)
        for rival in target_credit.overlapping:
            rival.credit = 0
        target_credit.credit = min(self._capacity.burst, room)

    def _await_room(self, target_credit: TargetCredit, num: int, timeout: float, process: Identity) -> int:
        deadline = self._clock.monotonic() + timeout
        pause = INITIAL_PAUSE
        while True:
            room = self._room(target_credit)
            if room > 0:
                return room
            alone = self._only_reader(target_credit, process)
            if alone or self._clock.monotonic() >= deadline:
                raise SignalQueueFull(num, target_credit.target.text, timeout, itself=alone)
            self._clock.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    def _room(self, target_credit: TargetCredit) -> int:
        where = target_credit.queues
        if target_credit.target.scope == "active":
            where = queues(target_credit.target, self._topology, introspection.active_workers())
        try:
            return self._capacity.available(where)
        except BlockingIOError:  # no worker has started yet
            return 0

    def _only_reader(self, target_credit: TargetCredit, process: Identity) -> bool:
        """Whether nobody but this very thread could empty a queue that is full."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if process.role == "worker" and introspection.threads() > 1:
            return False
        mine = [queue for queue in target_credit.queues if readers_of(queue, self._topology) == (process,)]
        return any(self._capacity.available((queue,)) <= 0 for queue in mine)
