"""The operations of this server that the verbs of the control socket use, and the state that it reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from heliograph._core.supervision.events import Joined, ReloadRequested, StopRequested
from heliograph.ipc.inherited import InheritedState
from heliograph.ipc.state_directory import store_directory
from heliograph.server.details import Details
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.services.changes import STOPPING, Status
from heliograph.server.services.control import Refused
from heliograph.server.services.master_queues import LOADING, MasterQueues
from heliograph.server.services.scheduler import SchedulerService
from heliograph.server.services.task_doorbell import TaskDoorbell
from heliograph.server.services.verbs import Operations
from heliograph.settings.options import ServerSettings


class ServerOperations:
    """Carries out the verbs, and describes the server."""

    def __init__(
        self,
        settings: ServerSettings,
        dispatcher: Dispatcher,
        queues: MasterQueues,
        scheduler: SchedulerService,
        doorbell: TaskDoorbell,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._queues = queues
        self._scheduler = scheduler
        self._doorbell = doorbell
        self._details = Details(settings, dispatcher.supervisor, queues, scheduler, doorbell)

    def for_verbs(
        self, inherited: Callable[[int], InheritedState], pipe_of: Callable[[int], tuple[int, ...]]
    ) -> Operations:
        """Return what the verbs need. `inherited` returns what a process that joins gets, for a generation."""
        supervisor = self._dispatcher.supervisor
        return Operations(
            status=self.status,
            facts=self._facts,
            details=self._details.collect,
            inherited=lambda: inherited(supervisor.generation),
            triggers=lambda: self._scheduler.numbers,
            join=self._join,
            send=self._send,
            pipe_of=pipe_of,
            upcoming=self._scheduler.upcoming,
            reload=lambda reason: self._handle(ReloadRequested(reason)),
            stop=partial(self._handle, StopRequested()),
        )

    def status(self) -> Status:
        """Return the state of the processes."""
        return Status.of(self._dispatcher.supervisor)

    def state(self) -> dict[str, Any]:
        """Return the whole state, as SIGUSR1 logs it."""
        return {
            **self._facts(),
            **self.status().to_json(),
            "queued": self._queues.queued(),
            "rejected": self._queues.rejected(),
            "signals": self._queues.rows(),
        }

    def _facts(self) -> dict[str, Any]:
        return {
            "name": self._settings.name,
            "app": str(self._settings.app),
            "pid": os.getpid(),
            "tasks": str(store_directory(self._settings.name, self._settings.spooler)),
            "tasks_lost": self._doorbell.is_lost(),
            "tasks_fault": self._doorbell.fault(),
            "queued": self._queues.in_pipes(),
            "triggers": self._scheduler.rows(),
            "load_began_at": self._load_began_at(),
        }

    def _load_began_at(self) -> float:
        """Return the time at which the last load of the application began, also if it failed."""
        return self._dispatcher.supervisor.loads.started_at + time.time() - time.monotonic()

    def _join(self, pid: int, at_request: bool) -> int:
        """Make a process of the web server a worker. Return its number. 0: no worker number is free."""
        if not self._settings.command:
            raise Refused(
                "failed", "this server starts its workers itself. Start the web server with `heliograph run`."
            )
        self._handle(Joined(pid, at_request))
        process = self._dispatcher.supervisor.worker_of(pid)
        return process.number if process else 0

    def _send(self, signal: str) -> int:
        """Send the signal with that name, number or handler. Return its number."""
        if self._dispatcher.supervisor.stopping:
            raise Refused("stopping", STOPPING)
        if self._queues.is_loading():
            raise Refused("busy", f"signal {signal!r} was not sent: {LOADING}.")
        found = self._queues.find(signal)
        if not found:
            raise Refused("failed", f"no handler is registered for the signal: {signal!r}. See `heliograph signals`.")
        if len(found) > 1:
            numbers = ", ".join(map(str, found))
            raise Refused("failed", f"several signals have the handler: {signal!r}. Use a number: {numbers}.")
        if not self._queues.send(found[0]):
            raise Refused("busy", f"the queue of signal {found[0]} is full. Try again later.")
        return found[0]

    def _handle(self, event: Joined | ReloadRequested | StopRequested) -> None:
        self._dispatcher.handle(event, time.monotonic())
