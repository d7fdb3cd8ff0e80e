"""This process of a uWSGI server: its identity, its counters, and its view of the queues."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from typing import Any

import uwsgi

from heliograph._core.signals.wakeups import WAKEUP_BYTES, WakeupWords
from heliograph._core.stats.counters import SLOT_BYTES, Counters, ProcessCounters
from heliograph.engines.uwsgi import introspection
from heliograph.engines.uwsgi.capacity import QueueCapacity
from heliograph.engines.uwsgi.flow_control import FlowControl, TargetCredit
from heliograph.engines.wakeup_handlers import WakeupHandlers
from heliograph.interfaces import Clock, Handler
from heliograph.models import SIGNALS, Identity, Topology
from heliograph.timing.clocks import SystemClock

_HEADER_BYTES = 64
"""Bytes of shared memory before the words of wake-ups and the counters. The first byte is set when the sockets have an
unexpected order."""


class UwsgiProcess:
    """State that the roles of the engine share. A fork inherits it, and then refreshes it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: Clock = SystemClock()
        self._topology = introspection.read_topology()
        top = self._topology
        self._slots = top.workers + top.mules + top.spoolers + 1
        counted = _HEADER_BYTES + WAKEUP_BYTES
        memory = memoryview(mmap.mmap(-1, counted + self._slots * SLOT_BYTES))
        self._words = WakeupWords(memory[_HEADER_BYTES:counted])
        self.counters = Counters(memory[counted:], self._slots)
        loaded_late = introspection.is_lazy() and introspection.identify().role != "master"
        self._capacity = QueueCapacity(top, memory[:1], lazy=loaded_late)
        self._flow_control = FlowControl(top, self._capacity, self.clock)
        self._credits: list[TargetCredit | None] = [None] * SIGNALS
        """The credit of the target of each number that is registered in this process."""
        self._handlers: dict[int, Handler] = {}
        self._wakeups = WakeupHandlers()
        self._pid = 0
        self._identity = Identity("external")
        self._slot: ProcessCounters
        self._sent: memoryview[int]
        self._refresh_identity()
        os.register_at_fork(after_in_child=self._refresh_identity)

    @property
    def identity(self) -> Identity:
        if os.getpid() != self._pid:
            self._refresh_identity()
        return self._identity

    @property
    def topology(self) -> Topology:
        return self._topology

    def in_farm(self, name: str) -> bool:
        return bool(uwsgi.in_farm(name))

    def masterpid(self) -> int:
        return uwsgi.masterpid()

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return introspection.worker_records()

    def spooler_pids(self) -> tuple[int, ...]:
        return tuple(uwsgi.spooler_pids()) if hasattr(uwsgi, "spooler_pids") else ()

    def opt(self) -> Mapping[str, Any]:
        return introspection.options()

    def version(self) -> str:
        return uwsgi.version.decode()

    def _refresh_identity(self) -> None:
        """Find out the role of this process, and which counters belong to it."""
        self._pid = os.getpid()
        self._identity = introspection.identify()
        self._slot = self.counters.slots[self._slot_number()]
        self._sent = self._slot.sent
        self._flow_control.reset()
        if self._identity.role != "master":
            self._capacity.after_fork(self._identity)

    def _slot_number(self, process: Identity | None = None) -> int:
        top, process = self._topology, process or self._identity
        before = {"worker": 0, "mule": top.workers, "spooler": top.workers + top.mules}
        number = before.get(process.role, self._slots - 1) + process.number - (process.role in before)
        return min(number, self._slots - 1)
