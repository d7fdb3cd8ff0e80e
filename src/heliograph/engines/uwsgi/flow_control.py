"""Credit-based flow control: the number of signals that this process may send to a target.

`credit` is the number of signals that this process may send before it asks the kernel again. If two targets share a
queue, only one of them has credit. A fork resets all credit.
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
"""Seconds before a blocked sender asks again, doubled each time. A mule takes about 5 signals in that time."""
_MAX_PAUSE = 0.002
"""Seconds between two attempts of a blocked sender, at most."""


@dataclass(slots=True)
class TargetCredit:
    """The credit of one target. `overlapping` are the targets that share one of its queues."""

    target: Target
    queues: tuple[Queue, ...]
    credit: int = 0
    overlapping: list[TargetCredit] = field(default_factory=list["TargetCredit"])


class FlowControl:
    """The credit of all targets in one process."""

    def __init__(self, topology: Topology, capacity: QueueCapacity, clock: Clock) -> None:
        self._topology = topology
        self._capacity = capacity
        self._clock = clock
        self._known: dict[str, TargetCredit] = {}
        self.unknown_target = TargetCredit(parse("worker", None), all_queues(topology))
        """Credit for signals of unknown target. It has credit only while every queue has space."""

    def to(self, target: str) -> TargetCredit:
        """Return the credit of a target."""
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
        """Take back all credit, because this is a new process."""
        for target_credit in (*self._known.values(), self.unknown_target):
            target_credit.credit = 0

    def acquire(self, target_credit: TargetCredit, num: int, timeout: float, process: Identity) -> None:
        """Give a target credit, so that `process` can send signal `num`. Wait at most `timeout` seconds for space.

        Raises:
            SignalQueueFull: A queue had no space. This is raised immediately if only this thread could empty it.
        """
        available = self._available(target_credit)
        if available <= 0:
            available = self._await_space(target_credit, num, timeout, process)
        for other in target_credit.overlapping:
            other.credit = 0
        target_credit.credit = min(self._capacity.burst, available)

    def _await_space(self, target_credit: TargetCredit, num: int, timeout: float, process: Identity) -> int:
        deadline = self._clock.monotonic() + timeout
        pause = INITIAL_PAUSE
        while True:
            available = self._available(target_credit)
            if available > 0:
                return available
            alone = self._only_reader(target_credit, process)
            if alone or self._clock.monotonic() >= deadline:
                raise SignalQueueFull(num, target_credit.target.text, timeout, self_deadlock=alone)
            self._clock.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    def _available(self, target_credit: TargetCredit) -> int:
        where = target_credit.queues
        if target_credit.target.scope == "active":
            where = queues(target_credit.target, self._topology, introspection.active_workers())
        try:
            return self._capacity.available(where)
        except BlockingIOError:  # no worker has started yet
            return 0

    def _only_reader(self, target_credit: TargetCredit, process: Identity) -> bool:
        """Return True if only this thread could empty a queue that is full."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if process.role == "worker" and introspection.threads() > 1:
            return False
        mine = [queue for queue in target_credit.queues if readers_of(queue, self._topology) == (process,)]
        try:
            return any(self._capacity.available((queue,)) <= 0 for queue in mine)
        except BlockingIOError:  # no worker has started yet
            return False
