"""Wake-ups on uWSGI: ordinary signals of uWSGI, at most one a target.

uWSGI loses a signal that a killed process had taken, and those that are queued at a reload. So every process that
starts sends a wake-up for each target, and a wake-up that was sent a while ago does not count as queued.

Worker 1 has the doorbell of the server in its scheduler thread. Other programs ring there, and so do the processes of
its own server: when a queue is full, and for the times at which tasks are due.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import uwsgi

from heliograph._core.signals.targets import readers_of
from heliograph._core.signals.wakeups import begun_turns, highest_free, wakeup_options, wakeup_target
from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.task_stores import LazyStore, Place, not_loaded
from heliograph.engines.uwsgi import introspection
from heliograph.engines.uwsgi.configuration import option_values
from heliograph.engines.uwsgi.registration_checks import check_registration
from heliograph.engines.uwsgi.task_doorbell import TaskDoorbell, refuse_second_server
from heliograph.engines.uwsgi.trigger_hosting import SCHEDULER_PROCESS, UwsgiTriggers
from heliograph.engines.wakeup_handlers import Turn
from heliograph.exceptions import NotSupported, SignalQueueFull, UwsgiconfException
from heliograph.interfaces import Handler
from heliograph.ipc.doorbell import Ring, ring
from heliograph.ipc.instance import server_name, working_directory
from heliograph.ipc.state_directory import (
    ANY_FILESYSTEM_OPTION,
    SYNC_ENV,
    SYNC_OPTION,
    allows_any_filesystem,
    store_directory,
)

if TYPE_CHECKING:
    from heliograph.interfaces.store import TaskStore

_LOG = logging.getLogger("heliograph.uwsgi")

_MAX_AGE = 1000
"""Milliseconds after which a wake-up does not count as queued any more, since uWSGI may have lost it."""


class UwsgiWakeups(UwsgiTriggers, ProcessLocalNames):
    """The roles `Wakeups` and `TaskStorage`."""

    def __init__(self) -> None:
        super().__init__()
        self._store = LazyStore(_place)
        self._started: dict[int, tuple[memoryview[int], ...]] = {}
        self._doorbell: TaskDoorbell | None = None

    def on_wake(self, target: str, run: Turn) -> None:
        parsed, queue = wakeup_target(target, self._topology)
        if self._wakeups.replace(target, run):
            return
        if not uwsgi.has_threads:
            raise NotSupported(
                f"cannot run tasks for {target}: this uWSGI has no threads, and worker 1 hears of tasks in one. "
                "Start it with --enable-threads."
            )
        process = self.identity
        in_master = process.role == "master"
        if in_master and not self._wakeups.numbers:
            refuse_second_server(str(self._store.directory))
        num = highest_free(
            # Each worker with --lazy-apps gets the same numbers, since it does not look at those of the others.
            lambda num: num not in self._handlers and not self.has_name(num) and not (in_master and self._has(num))
        )
        check_registration(num, parsed.text, wakeup_options(target), process, self._topology)
        self._register(num, parsed.text, self._wakeups.add(target, num, run))
        readers = readers_of(queue, self._topology)
        self._started[num] = tuple(self.counters.slots[self._slot_number(reader)].started for reader in readers)
        if not in_master:
            self._look_for_tasks()

    def wake(self, target: str) -> None:
        num = self._wakeups.numbers.get(target)
        if self.identity.role == "master":
            return
        if num is None:
            self._wake_all()  # one of them looks after the tasks of a target that the server does not have
            return
        begun = begun_turns(self._started[num], num)
        if self._words.rung[num] == begun + 1 and self._now() < self._words.deadlines[num]:
            return
        self._wake_now(num, target, begun)

    def wake_at(self, target: str, when: float) -> None:
        if self.identity.role == "master":
            return
        num = self._wakeups.numbers.get(target)
        if num is not None and self._identity == SCHEDULER_PROCESS and self._scheduler is not None:
            self._scheduler.wake_at(num, when)
        else:
            ring(str(self._store.directory), target, when)

    def task_store(self) -> TaskStore:
        if self.identity.role == "master":
            raise not_loaded()
        return self._store.get()

    def _register(self, num: int, target: str, handler: Handler) -> None:
        raise NotImplementedError

    def _has(self, num: int) -> bool:
        return bool(uwsgi.signal_registered(num))

    def _wake_now(self, num: int, target: str, begun: int) -> None:
        try:
            self._send_trigger(num)
        except SignalQueueFull:
            self.wake_at(target, self.clock.time())  # worker 1 sends it when there is space
        except UwsgiconfException as error:
            _LOG.warning("Cannot wake %s for its tasks: %s", target, error)
            return
        self._words.deadlines[num] = self._now() + _MAX_AGE  # on uWSGI, the word has this meaning
        self._words.rung[num] = begun + 1

    def _now(self) -> int:
        return int(self.clock.monotonic() * 1000)

    def _look_for_tasks(self) -> None:
        """Wake every target: a process that was killed may have had a wake-up, and worker 1 the times of all tasks."""
        if not self._wakeups.numbers or self._identity.role not in ("worker", "mule", "spooler"):
            return
        if self._identity == SCHEDULER_PROCESS and self._doorbell is None:
            self._scheduler_thread().on_clock_set = self._wake_all
            self._doorbell = TaskDoorbell(*_name_and_spooler(), self._topology, any_filesystem=_any_filesystem())
            self._doorbell.open(self._scheduler_thread(), self._answer, self._wake_all)
        self._wake_all()

    def _wake_all(self) -> None:
        for target, num in list(self._wakeups.numbers.items()):
            self._wake_now(num, target, begun_turns(self._started[num], num))

    def _answer(self, ring: Ring) -> None:
        for num in self._wakeups.numbers_for(ring.target):
            self._scheduler_thread().wake_at(num, ring.when)


def _place() -> Place:
    """Return the directory of the tasks of this server: its spool directory, else one in the state directory."""
    name, spooler = _name_and_spooler()
    sync = introspection.options().get(SYNC_OPTION) or os.environ.get(SYNC_ENV) or "disk"
    return store_directory(name, spooler), str(sync)


def _any_filesystem() -> bool:
    return allows_any_filesystem(introspection.options().get(ANY_FILESYSTEM_OPTION))


def _name_and_spooler() -> tuple[str, Path | None]:
    """Return the name of this server, which follows from the directory, and its first spool directory."""
    spoolers = option_values("spooler", introspection.options())
    return server_name(None, working_directory()), Path(spoolers[0]) if spoolers else None
