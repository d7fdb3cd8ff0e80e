"""Opening the store of tasks at its first use, for every engine that has one on disk."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.exceptions import ConfigError, ServerNotReady
from heliograph.ipc.state_directory import servers_of_store
from heliograph.ipc.store_directory import DATABASE

if TYPE_CHECKING:
    from heliograph.interfaces.store import TaskStore

Place = tuple[Path, str]
"""The directory of the store, and when a task counts as stored: `disk` or `process`."""


_ANSWER_TIMEOUT = 2.0
"""Seconds to wait for a server that is asked for its directory."""


def not_loaded() -> ServerNotReady:
    """Return the error of a process that loads the application for all others: it must not open the store."""
    return ServerNotReady(
        "tasks are not accessible: the server is still loading the application. Enqueue them in a request, a handler "
        "or a post-fork hook."
    )


def refuse_second_store(directory: Path) -> None:
    """Refuse to make a store in place of one that was moved away while its server runs.

    A server that does not answer is taken for one that does not run, and uWSGI cannot be asked.

    Raises:
        StoreError: The server of this directory says that its directory is gone.
    """
    if os.path.lexists(directory / DATABASE):
        return
    for name in servers_of_store(directory):
        if _has_lost(name, directory):
            from heliograph.store.faults import removed  # noqa: PLC0415 - it imports sqlite3

            raise removed(str(directory))


def _has_lost(name: str, directory: Path) -> bool:
    from heliograph.ipc import control_sockets  # noqa: PLC0415 - few processes make a store
    from heliograph.ipc.control_client import ControlClient  # noqa: PLC0415

    for server in control_sockets.find(name):
        with contextlib.suppress(ConfigError), ControlClient(server.path, _ANSWER_TIMEOUT) as client:
            state = client.request("state")
            if state.get("tasks_lost") and os.path.realpath(state["tasks"]) == os.path.realpath(directory):
                return True
    return False


def import_store() -> None:
    """Import the module of the store. What a process imports before it forks is in memory once."""
    importlib.import_module("heliograph.store.sqlite")


class LazyStore:
    """The store of this process. Processes that do not use tasks do not import `sqlite3`."""

    def __init__(self, find: Callable[[], Place]) -> None:
        """`find()` is called once, at the first use."""
        self._find = find
        self._place: Place | None = None
        self._store: TaskStore | None = None
        self._lock = threading.Lock()
        own = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (renew := own()) and renew())

    @property
    def directory(self) -> Path:
        """The directory of the store. It need not exist."""
        if self._place is None:
            self._place = self._find()
        return self._place[0]

    def get(self) -> TaskStore:
        """Return the store. Raises: StoreError: it cannot be opened."""
        if self._store is None:
            with self._lock:
                if self._store is None:
                    self._store = self._open()
        return self._store

    def _after_fork(self) -> None:
        """Use a new lock in a forked process: a thread of the parent may hold the one that the fork copied."""
        self._lock = threading.Lock()

    def _open(self) -> TaskStore:
        from heliograph.store.sqlite import SqliteStore, uptime  # noqa: PLC0415 - only processes with tasks load it

        refuse_second_store(self.directory)
        directory = str(self.directory)
        assert self._place is not None
        return SqliteStore(directory, sync=self._place[1] == "disk", uptime=uptime)
