"""The facts about a server that only its master knows, for `heliograph status` and everything else that looks at it.

The keys are those of the values in `heliograph.insights.model`. The reader adds the rest: `heliograph.insights.reader`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from heliograph import __version__
from heliograph._core.supervision.children import MIN_UPTIME, NEVER, Child, LastExit
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.ipc.state_directory import store_directory
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.scheduler import SchedulerService
from heliograph.server.services.task_doorbell import TaskDoorbell
from heliograph.settings.options import ServerSettings

_STATUS = {"absent": "missing", "forking": "starting", "running": "running", "draining": "stopping", "killed": "killed"}


class Details:
    """Collects the facts. The supervisor has times of the monotonic clock, the facts have those of the wall clock."""

    def __init__(
        self,
        settings: ServerSettings,
        supervisor: Supervisor,
        queues: MasterQueues,
        scheduler: SchedulerService,
        doorbell: TaskDoorbell,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._queues = queues
        self._scheduler = scheduler
        self._doorbell = doorbell
        self._started_at = time.monotonic()

    def collect(self) -> dict[str, Any]:
        """Return all facts."""
        supervisor, offset = self._supervisor, time.time() - time.monotonic()
        loads = supervisor.loads

        def wall(at: float) -> float | None:
            return at + offset if -NEVER < at < NEVER else None

        has_failed = loads.failed > loads.current
        return {
            "name": self._settings.name,
            "app": str(self._settings.app),
            "version": __version__,
            "python": ".".join(map(str, sys.version_info[:3])),
            "pid": os.getpid(),
            "started_at": wall(self._started_at),
            "generation": supervisor.generation,
            "is_loading": supervisor.loading,
            "is_ready": supervisor.ready,
            "is_stopping": supervisor.stopping,
            "loaded_at": wall(loads.activated_at),
            "reload_failure": loads.failure if has_failed else None,
            "reload_failed_at": wall(loads.failed_at) if has_failed else None,
            "graceful_timeout": self._settings.graceful_timeout,
            "overdue": self._settings.overdue,
            "processes": [
                self._master(),
                *(self._describe(child, wall) for child in supervisor.children if _is_shown(child)),
            ],
            "queues": self._queues.details(),
            "triggers": self._scheduler.details(),
            "tasks": str(store_directory(self._settings.name, self._settings.spooler)),
            "tasks_fault": self._doorbell.fault() or None,
            "task_sync": self._settings.task_sync,
        }

    def _master(self) -> dict[str, Any]:
        return {
            "name": "master",
            "role": "master",
            "pid": os.getpid(),
            "status": "stopping" if self._supervisor.stopping else "running",
            "since": self._started_at + time.time() - time.monotonic(),
            "generation": None,
            "restarts": 0,
            "early_exits": 0,
            "last_exit": None,
            "missing_since": None,
            "failure": None,
        }

    def _describe(self, child: Child, wall: Callable[[float], float | None]) -> dict[str, Any]:
        return {
            "name": child.identity.title,
            "role": child.identity.role,
            "pid": child.pid or None,
            "status": _status(child),
            "since": wall(child.since) if child.pid else None,
            "generation": child.generation if child.pid and not _is_left(child) else None,
            "restarts": max(0, child.starts - 1),
            "early_exits": 0 if self._runs_well(child) else child.early_exits,
            "last_exit": _exit(child.last_exit, wall),
            "missing_since": wall(self._missing_since(child)),
            "failure": self._failure(child),
        }

    def _runs_well(self, child: Child) -> bool:
        """Return True if it has started well, so that its exits before have come to an end."""
        is_up = child.state == "running" and time.monotonic() - child.since >= MIN_UPTIME
        return is_up and self._supervisor.children.proven(child, child.since)

    def _missing_since(self, child: Child) -> float:
        """Return the time since which a place lacks its process. Infinite if it does not, or need not have one."""
        supervisor = self._supervisor
        if child.pid or not child.expected or supervisor.stopping or not supervisor.generation:
            return NEVER
        if child.policy.origin == "join":
            if child.starts and not child.awaited:  # it joined at a request, and its successor will do so, too
                return NEVER
            began = max((c.since for c in supervisor.children if c.policy.proven_by_joins), default=NEVER)
            return max(began, child.last_exit.at) if child.last_exit else began
        return child.last_exit.at if child.last_exit else supervisor.loads.activated_at

    def _failure(self, child: Child) -> str | None:
        """Return the exit of a web server that does not start, with the number in a row."""
        children = self._supervisor.children
        if not (child.policy.proven_by_joins and child.failures) or self._supervisor.stopping:
            return None
        if child.state != "absent" and children.proven(child, child.since):
            return None
        return f"{child.failure}, {'once' if child.failures == 1 else f'{child.failures} times'}"


def _is_shown(child: Child) -> bool:
    return child.expected or bool(child.pid)


def _status(child: Child) -> str:
    if child.state == "running" and not child.ready and child.policy.origin != "command":
        return "starting"
    return _STATUS[child.state]


def _exit(last: LastExit | None, wall: Callable[[float], float | None]) -> dict[str, Any] | None:
    if last is None:
        return None
    return {"pid": last.pid, "at": wall(last.at), "reason": last.reason, "was_expected": last.was_expected}


def _is_left(child: Child) -> bool:
    """Return True for a command that a reload leaves alone, so that it has no generation of code."""
    return child.policy.origin == "command" and child.policy.reload == "leave"
