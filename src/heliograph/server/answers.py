"""The answers to requests at the control socket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph._core.supervision.events import Joined, ReloadRequested, StopRequested
from heliograph.ipc.inherited import InheritedState
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.server_queues import ServerQueues
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.scheduler import SchedulerService
from heliograph.settings.options import ServerSettings

_MAX_RUNS = 1000
"""How many future runs one request returns at most."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the master answers, by request."""

    settings: ServerSettings
    dispatcher: Dispatcher
    server_queues: ServerQueues
    queues: MasterQueues
    scheduler: SchedulerService
    inherited: Callable[[int], InheritedState]
    """Returns what a process that joins gets, for a generation."""

    def answer(self, request: dict[str, Any], pid: int) -> tuple[dict[str, Any], Sequence[int]]:
        """Return the answer to a request of the process `pid`, and descriptors that go with it."""
        supervisor = self.dispatcher.supervisor
        match request:
            case {"do": "attach"}:
                inherited = self.inherited(supervisor.generation)
                return {"inherited": inherited.to_json(), "triggers": self.scheduler.numbers}, inherited.passed()
            case {"do": "join"}:
                return self._assign_worker_number(pid), ()
            case {"do": "signals"}:
                return self.state(), ()
            case {"do": "next", "count": int(count)}:
                return {"next": self.scheduler.scheduler.upcoming(max(0, min(count, _MAX_RUNS)))}, ()
            case {"do": "reload"}:
                self.dispatcher.handle(ReloadRequested(), time.monotonic())
            case {"do": "stop"}:
                self.dispatcher.handle(StopRequested(), time.monotonic())
            case _:
                known = "signals, next (with a count), attach, join, reload or stop"
                return {"error": f"cannot do {request}; {known} can be done"}, ()
        return {"pid": os.getpid()}, ()

    def _assign_worker_number(self, pid: int) -> dict[str, Any]:
        """Return which worker a process of the web server becomes. 0: no worker number is free."""
        if not self.settings.command:
            return {"error": "this server starts its workers itself; give heliograph run a command after two dashes"}
        self.dispatcher.handle(Joined(pid), time.monotonic())
        process = self.dispatcher.supervisor.worker_of(pid)
        return {"worker": process.number if process else 0}

    def state(self) -> dict[str, Any]:
        """Return the state of the server, for `heliograph signals` and SIGUSR1."""
        supervisor = self.dispatcher.supervisor
        return {
            "name": self.settings.name,
            "app": str(self.settings.app),
            "pid": os.getpid(),
            "generation": supervisor.generation,
            "loading": supervisor.loading,
            "complete": supervisor.all_running,
            "processes": {str(process): pid for process, pid in supervisor.pids().items()},
            "queued": self.queues.queued(),
            "triggers": self.scheduler.scheduler.rows(),
            "rejected": self.server_queues.memory.counters.rejected(),
            "signals": self.queues.rows(),
        }
