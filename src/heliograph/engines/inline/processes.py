"""The processes that an inline engine simulates."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from heliograph.exceptions import ConfigError, TargetError
from heliograph.models import FarmSpec, Identity, Topology
from heliograph.settings.processes import check_farms

DEFAULT_TOPOLOGY = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=1)


class SimulatedProcesses:
    """The role `Processes`. Each thread of this process acts as one process of the server."""

    def __init__(self, topology: Topology) -> None:
        try:
            check_farms(topology)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._topology = topology
        self._first = next(iter(topology.processes()), Identity("external"))
        # An `async def` handler that runs in a thread of its own gets the context of its sender, and so its identity.
        self._current: ContextVar[Identity | None] = ContextVar("heliograph_process", default=None)

    @contextmanager
    def as_process(self, process: Identity | str) -> Generator[None]:
        """Act as another process in this thread, until the block ends: `with engine.as_process("mule2"):`.

        Raises:
            TargetError: The server has no such process.
        """
        before = self._current.get()
        self._current.set(self._identity_named(process))
        try:
            yield
        finally:
            self._current.set(before)

    @property
    def identity(self) -> Identity:
        return self._current.get() or self._first

    @property
    def topology(self) -> Topology:
        return self._topology

    def on_fork(self, hook: Callable[[], None]) -> None:
        """Run the hook once for each process that a server would fork."""
        for process in self._topology.processes():
            with self.as_process(process):
                hook()

    def on_drain(self, hook: Callable[[], None]) -> None:
        """Do nothing: the simulated processes do not exit."""

    def in_farm(self, name: str) -> bool:
        process, farms = self.identity, self._topology.farms
        return process.role == "mule" and any(farm.name == name and process.number in farm.mules for farm in farms)

    def masterpid(self) -> int:
        return 0

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return tuple({"id": number, "pid": 0} for number in range(1, self._topology.workers + 1))

    def spooler_pids(self) -> tuple[int, ...]:
        return ()

    def opt(self) -> Mapping[str, Any]:
        return {"spooler": "spooler"} if self._topology.spoolers else {}

    def version(self) -> str:
        return "inline"

    def _identity_named(self, process: Identity | str) -> Identity:
        everybody = (Identity("master"), *self._topology.processes(), Identity("external"))
        found = {str(identity): identity for identity in everybody}
        if str(process) not in found:
            raise TargetError(str(process), "the server has no such process", tuple(found))
        return found[str(process)]
