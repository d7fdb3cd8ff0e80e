"""This process of a heliograph server: its identity, its counters, and the other processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from heliograph._core.signals.targets import parse, queues, readers_of
from heliograph._core.stats.counters import ProcessCounters
from heliograph.engines.life_hooks import LifeHooks
from heliograph.engines.no_web_server import NoWebServer
from heliograph.interfaces import Clock
from heliograph.ipc.inherited import InheritedState
from heliograph.ipc.pipes import server_queues
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Queue, Topology
from heliograph.timing.clocks import SystemClock

_LOG = logging.getLogger("heliograph.hooks")


class LocalProcess(LifeHooks, NoWebServer):
    """The role `Processes`, and what the other roles of the engine share."""

    def __init__(self, inherited: InheritedState, process: Identity) -> None:
        super().__init__()
        self.clock: Clock = SystemClock()
        self.inherited = inherited
        self.memory = SharedMemory(inherited.memory, inherited.settings.topology)
        self.counters = self.memory.counters
        self._topology = inherited.settings.topology
        self._queues = {queue: number for number, queue in enumerate(server_queues(inherited.settings.topology))}
        self._identity = process
        self._fork_hooks: list[Callable[[], None]] = []
        self._drain_hooks: list[Callable[[], None]] = []

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def topology(self) -> Topology:
        return self._topology

    def in_farm(self, name: str) -> bool:
        mine = self._topology.farms_of(self._identity.number) if self._identity.role == "mule" else ()
        return any(self._topology.farms[number - 1].name == name for number in mine)

    def masterpid(self) -> int:
        return self.inherited.master

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        workers = [process for process in self._topology.processes() if process.role == "worker"]
        return tuple({"id": process.number, "pid": self._slot_of(process).pid} for process in workers)

    def spooler_pids(self) -> tuple[int, ...]:
        spoolers = (process for process in self._topology.processes() if process.role == "spooler")
        return tuple(pid for process in spoolers if (pid := self._slot_of(process).pid))

    def opt(self) -> Mapping[str, Any]:
        farms = [f"{farm.name}:{','.join(map(str, farm.mules))}" for farm in self._topology.farms]
        counts = {"workers": self._topology.workers, "mules": self._topology.mules}
        return {
            **{name: str(count) for name, count in counts.items()},
            "farm": farms,
            "app": self.inherited.settings.app,
            **({"spooler": self.inherited.settings.tasks} if self._topology.spoolers else {}),
        }

    def version(self) -> str:
        from importlib.metadata import version  # noqa: PLC0415 - it takes more than a megabyte

        return version("heliograph")

    def on_fork(self, hook: Callable[[], None]) -> None:
        if self._identity.role in ("master", "external"):
            self._fork_hooks.append(hook)
        else:
            hook()

    def on_drain(self, hook: Callable[[], None]) -> None:
        self._drain_hooks.append(hook)

    def _run_fork_and_start_hooks(self) -> None:
        hooks, self._fork_hooks = self._fork_hooks, []
        for hook in hooks:
            hook()
        self.run_start_hooks()

    def _run_drain_hooks(self) -> None:
        for hook in self._drain_hooks:
            try:
                hook()
            except Exception:  # noqa: BLE001 - the process must exit nonetheless
                _LOG.exception("Hook for the drain failed in %s", self._identity)

    def _slot_of(self, process: Identity) -> ProcessCounters:
        return self.counters.slots[self.memory.slot_number(process)]

    def _readers(self, queue: Queue) -> tuple[Identity, ...]:
        return readers_of(queue, self._topology)

    def _receivers(self, target: str) -> tuple[Queue, ...]:
        parsed, present = parse(target, self._topology), self.memory.present_workers()
        running = self._running_workers() if parsed.scope == "active" else ()
        return queues(parsed, self._topology, running, present)

    def _running_workers(self) -> tuple[int, ...]:
        return tuple(worker["id"] for worker in self.workers() if worker["pid"])
