"""Wake-ups on the heliograph server: a record in the queue of the target, unless one is queued already.

`_core.signals.wakeups` says why no wake-up is lost. If the queue is full of other signals, the master sends the wake-up
as soon as there is space.
"""

from __future__ import annotations

import json
import logging
import select
from collections.abc import Callable
from os import write
from typing import NamedTuple

from heliograph._core.signals.records import Record, encode
from heliograph._core.signals.targets import readers_of
from heliograph._core.signals.wakeups import begun_turns, wakeup_target
from heliograph.ipc.inherited import InheritedState
from heliograph.ipc.pipes import server_queues
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import MICROSECONDS

_LOG = logging.getLogger("heliograph.tasks")

_REPORT_TIMEOUT = 10_000
"""Milliseconds that a report to a busy master may take."""


class _Bell(NamedTuple):
    """The queue, the record and the counters of a target."""

    num: int
    fd: int
    record: bytes
    started: tuple[memoryview[int], ...]
    """The counters of the turns that have begun, one for each process that may take the wake-up."""


class LocalWakeups:
    """Sends wake-ups from this process."""

    def __init__(self, inherited: InheritedState, memory: SharedMemory, count: Callable[[int], None]) -> None:
        """`count(num)` counts a signal that was sent."""
        self._inherited = inherited
        self._memory = memory
        self._words = memory.wakeups
        self._count = count
        self._bells: dict[str, _Bell] = {}

    def wake(self, target: str, *, again: bool = False) -> None:
        """Send a wake-up unless one is queued. `again`: also if one is."""
        bell = self._bells.get(target) or self._make_bell(target)
        if self._words.closed:
            return
        if bell is None:
            self._wake_others(0)
            return
        num, rung = bell.num, self._words.rung
        begun = begun_turns(bell.started, num)  # before the record is written, else it could count its own turn
        if rung[num] == begun + 1 and not again:
            return
        try:
            write(bell.fd, bell.record)
        except BlockingIOError:
            if not self._ask_master(wake=num):
                return
        else:
            self._count(num)
        rung[num] = begun + 1

    def wake_at(self, target: str, when: float) -> None:
        """Let the master wake the target at that time, unless it will do so earlier."""
        bell = self._bells.get(target) or self._make_bell(target)
        due = max(1, int(when * MICROSECONDS))
        if bell is None:
            self._wake_others(due)
            return
        planned = self._words.deadlines[bell.num]
        # The master clears the word before it sends the wake-up, so an earlier time is one that is still to come.
        if not 0 < planned <= due:
            self._ask_master(wake=bell.num, at=due)

    def _wake_others(self, due: int) -> None:
        """Let the master wake all targets, for one that the server does not have: one of them looks after its tasks."""
        for num in self._memory.live.wakeups():
            self._ask_master(wake=num, at=due)

    def _make_bell(self, text: str) -> _Bell | None:
        num = self._memory.find_wakeup(text)
        if num is None:
            return None
        topology = self._inherited.settings.topology
        _, queue = wakeup_target(text, topology)
        number = server_queues(topology).index(queue)
        slots = self._memory.counters.slots
        started = tuple(slots[self._memory.slot_number(process)].started for process in readers_of(queue, topology))
        self._bells[text] = bell = _Bell(num, self._inherited.queues[number][1], encode(Record(num, number)), started)
        return bell

    def _ask_master(self, **facts: int) -> bool:
        """Report to the master, as soon as there is space. Return False, and log that, if there is none for long."""
        line = json.dumps({"generation": self._inherited.generation, **facts}).encode() + b"\n"
        while True:
            try:
                write(self._inherited.reports, line)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._inherited.reports, select.POLLOUT)
                if not poll.poll(_REPORT_TIMEOUT):
                    _LOG.error("Cannot reach the master (pid %d) to run tasks in time", self._inherited.master)
                    return False
            except BrokenPipeError:
                return False  # the master has exited, and this process soon will
            else:
                return True
