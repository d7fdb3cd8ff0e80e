"""Gates: the way to a target's queues, which a sender goes through while there is room and waits at while there is not.

A gate holds `credit`: signals that this process may send before it asks the gauge again. Credit is for queues, so of
two gates to the same queue only one has any. It ends with a fork.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from heliograph._core.targets import Target, all_queues, parse, queues, readers_of
from heliograph.engines.uwsgi import server
from heliograph.engines.uwsgi.gauge import Gauge
from heliograph.exceptions import SignalQueueFull
from heliograph.port import Clock
from heliograph.values import Identity, Queue, Topology

FIRST_PAUSE = 0.00005
"""Seconds a held-back sender sleeps before it asks again; doubled each time. A mule empties 5 places meanwhile."""
_LONGEST_PAUSE = 0.002


@dataclass(slots=True)
class Gate:
    """The way to one target. `rivals` are the gates to any of the same queues."""

    target: Target
    queues: tuple[Queue, ...]
    credit: int = 0
    rivals: list[Gate] = field(default_factory=list["Gate"])


class Gates:
    """All gates of one process."""

    def __init__(self, topology: Topology, gauge: Gauge, clock: Clock) -> None:
        self._topology = topology
        self._gauge = gauge
        self._clock = clock
        self._known: dict[str, Gate] = {}
        self.somewhere = Gate(parse("worker", None), all_queues(topology))
        """The way of a signal whose target is not known: open while every queue is."""

    def to(self, target: str) -> Gate:
        """The gate to a target."""
        understood = parse(target, self._topology)
        found = self._known.get(understood.text)
        if found is None:
            found = Gate(understood, queues(understood, self._topology))
            for other in self._known.values():
                if not set(found.queues).isdisjoint(other.queues):
                    found.rivals.append(other)
                    other.rivals.append(found)
            self._known[understood.text] = found
        return found

    def close_all(self) -> None:
        """Take back all credit: this is another process now."""
        for gate in (*self._known.values(), self.somewhere):
            gate.credit = 0

    def open(self, gate: Gate, num: int, timeout: float, who: Identity) -> None:
        """Give a gate credit, for signal `num` of process `who`; wait for room at most `timeout` seconds.

        Raises `SignalQueueFull`: at once if nobody but this very thread could make room.
        """
        room = self._room(gate)
        if room <= 0:
            room = self._await_room(gate, num, timeout, who)
        for rival in gate.rivals:
            rival.credit = 0
        gate.credit = min(self._gauge.burst, room)

    def _await_room(self, gate: Gate, num: int, timeout: float, who: Identity) -> int:
        deadline = self._clock.monotonic() + timeout
        pause = FIRST_PAUSE
        while True:
            room = self._room(gate)
            if room > 0:
                return room
            alone = self._only_reader(gate, who)
            if alone or self._clock.monotonic() >= deadline:
                raise SignalQueueFull(num, gate.target.text, timeout, itself=alone)
            self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _room(self, gate: Gate) -> int:
        where = gate.queues
        if gate.target.scope == "active":
            where = queues(gate.target, self._topology, server.active_workers())
        try:
            return self._gauge.room(where)
        except BlockingIOError:  # no worker has started yet
            return 0

    def _only_reader(self, gate: Gate, who: Identity) -> bool:
        """Whether nobody but this very thread could empty a queue that is full."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if who.role == "worker" and server.threads() > 1:
            return False
        mine = [queue for queue in gate.queues if readers_of(queue, self._topology) == (who,)]
        return any(self._gauge.room((queue,)) <= 0 for queue in mine)
