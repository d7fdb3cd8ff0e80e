"""The doorbell of a server on uWSGI, which worker 1 has in its scheduler thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from heliograph.engines.left_tasks import warn_of_left_tasks
from heliograph.engines.uwsgi.scheduler_thread import SchedulerThread
from heliograph.exceptions import ConfigError
from heliograph.ipc.doorbell import Doorbell, Ring
from heliograph.ipc.state_directory import note_store, store_directory
from heliograph.ipc.store_directory import ServerLock, make_directory, running_server
from heliograph.models import Topology

_LOG = logging.getLogger("heliograph.uwsgi")

_RETRY_INTERVAL = 1.0
"""Seconds until the directory is tried again, if another server has it."""

_EXIT_TIMEOUT, _EXIT_POLL_INTERVAL = 3.0, 0.05
"""Seconds to wait for the worker 1 of this server before a reload, and between two looks."""


class TaskDoorbell:
    """Owns the directory of the tasks while worker 1 lives."""

    def __init__(self, name: str, spooler: Path | None, topology: Topology, *, any_filesystem: bool = False) -> None:
        """Create the doorbell of the server `name`. `spooler`: its spool directory. `topology`: its processes."""
        self._directory = str(store_directory(name, spooler))
        self._name = name
        self._topology = topology
        self._any_filesystem = any_filesystem
        note_store(name, spooler)
        if spooler is not None:
            warn_of_left_tasks(store_directory(name, spooler))
        self._lock: ServerLock | None = None
        self._failed = False

    def open(self, thread: SchedulerThread, answer: Callable[[Ring], None], opened: Callable[[], None]) -> None:
        """Take the lock, and let the thread call `answer` for each ring.

        If that fails, try again later, and then call `opened`: nobody has heard the rings in the meantime.
        """
        try:
            self._open(thread, answer)
        except OSError as error:
            if not self._failed:
                _LOG.error("Cannot hear of tasks, trying again every %g s: %s", _RETRY_INTERVAL, error)
            self._failed = True
            timer = threading.Timer(_RETRY_INTERVAL, self.open, (thread, answer, opened))
            timer.daemon = True
            timer.start()
            return
        if self._failed:
            opened()

    def _open(self, thread: SchedulerThread, answer: Callable[[Ring], None]) -> None:
        warning = make_directory(self._directory, allow_any=self._any_filesystem)
        if warning is not None:
            _LOG.warning("%s", warning)
        self._lock = self._lock or ServerLock(self._directory, self._name, self._topology)
        doorbell = Doorbell(self._directory)

        def read() -> None:
            for ring in doorbell.read():
                answer(ring)

        thread.listen(doorbell.fileno(), read)


def refuse_second_server(directory: str) -> None:
    """Raise `ConfigError` if a running server has this directory. After a reload, worker 1 may just be exiting."""
    deadline = time.monotonic() + _EXIT_TIMEOUT
    while Path(directory).is_dir() and (other := running_server(directory)) is not None:
        if time.monotonic() > deadline:
            raise ConfigError(
                f"tasks in {directory} belong to a running server: {other!r}. Stop it, or use another --spooler."
            )
        time.sleep(_EXIT_POLL_INTERVAL)
