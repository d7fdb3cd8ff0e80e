"""The start and the end of simulated processes, when a test asks for them."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.engines.inline.processes import SimulatedProcesses
from heliograph.models import Identity, Topology


class SimulatedLife(SimulatedProcesses):
    """The processes of an inline engine, with the functions of `on_start` and `on_stop`."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        self._start_hooks: list[Callable[[], None]] = []
        self._stop_hooks: list[Callable[[], None]] = []
        self._started: dict[Identity, None] = {}

    def on_start(self, hook: Callable[[], None]) -> None:
        """Run the hook later, in `start_processes`. Run it now as well in the processes that have started."""
        self._start_hooks.append(hook)
        for process in self._started:
            with self.as_process(process):
                hook()

    def on_stop(self, hook: Callable[[], None]) -> None:
        """Run the hook later, in `stop_processes`."""
        self._stop_hooks.append(hook)

    def start_processes(self, *processes: Identity | str) -> None:
        """Run the functions of `on_start` in these processes, as a server does when they start. Default: in all.

        Raises:
            TargetError: The server has no such process.
        """
        for process in self._chosen(processes):
            with self.as_process(process):
                for hook in self._start_hooks:
                    hook()
            self._started[process] = None

    def stop_processes(self, *processes: Identity | str) -> None:
        """Run the functions of `on_stop` in these processes, as a server does before they exit. Default: in all.

        Raises:
            TargetError: The server has no such process.
        """
        for process in self._chosen(processes):
            with self.as_process(process):
                for hook in reversed(self._stop_hooks):
                    hook()
            self._started.pop(process, None)

    def _chosen(self, processes: tuple[Identity | str, ...]) -> tuple[Identity, ...]:
        return tuple(map(self._identity_named, processes)) or self._topology.processes()
