"""The directory of a server's tasks: the master holds its lock, and hears rings at its doorbell.

The master never opens the store itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
from collections.abc import Callable

from heliograph.exceptions import ConfigError, ScheduleError, StoreError
from heliograph.ipc.doorbell import Doorbell, Ring
from heliograph.ipc.state_directory import note_store, store_directory
from heliograph.ipc.store_directory import DOORBELL, SERVER, ServerLock, make_directory
from heliograph.ipc.task_owners import note_kill
from heliograph.loop import Selector, Service
from heliograph.settings.options import ServerSettings
from heliograph.watching.inotify import ITSELF, UNLINKED, Inotify

_LOG = logging.getLogger("heliograph.master")

_LOST = (
    "The directory of tasks was removed or replaced: %s. Tasks are not run. Put it back, or leave it away to begin "
    "without tasks, then run `heliograph reload`"
)
_NO_LOCK = (
    "The lock of the server is gone: %s. Tasks are run, but other programs see no server, and another one could use "
    "the directory. Run `heliograph reload`"
)
_NO_DOORBELL = (
    "The doorbell of tasks is gone: %s. Tasks of the server are run, those of other programs wait. "
    "Run `heliograph reload`"
)


class TaskDoorbell(Service):
    """Owns the directory while the server lives. Without tasks, and without `--spooler`, there is none."""

    def __init__(self, selector: Selector, settings: ServerSettings, wake: Callable[[Ring], None]) -> None:
        """Open the directory at once if `--spooler` names it. `wake` gets the rings.

        Raises: ConfigError: that directory cannot be used, for example because another server has it.
        """
        self._selector = selector
        self._name, self._spooler = settings.name, settings.spooler
        self._topology = settings.topology
        self._directory = str(store_directory(settings.name, settings.spooler))
        self._any_filesystem = settings.any_filesystem
        self._wake = wake
        self._lock: ServerLock | None = None
        self._doorbell: Doorbell | None = None
        self._watch: Inotify | None = None
        self._place: tuple[int, int] | None = None
        self._fault = ""
        if settings.spooler is not None:
            try:
                self._open()
            except OSError as error:
                self.close()
                raise ConfigError(self._explain(error)) from error

    def note_directory(self) -> None:
        """Let other programs find the directory. The application is loaded: a start that fails changes nothing."""
        note_store(self._name, self._spooler)

    def open_if(self, *, tasks: bool) -> None:
        """Open the directory if the application has tasks, or again if it was replaced.

        A failure is logged: tasks cannot be stored there either.
        """
        if self._doorbell is not None:
            if not self.is_lost():
                return
            _LOG.error("The directory of tasks has changed, opening it again: %s", self._directory)
            self.close()
        elif not tasks:
            return
        try:
            self._open()
        except OSError as error:
            self.close()
            _LOG.error("%s", self._explain(error))

    def is_lost(self) -> bool:
        """Return True if `fault` finds one."""
        return bool(self.fault())

    def fault(self) -> str:
        """Return what is wrong with the directory, empty if it is the one that this server has opened. Log it once."""
        found = self._find_fault()
        if found and found != self._fault:
            _LOG.error("%s", found)
        self._fault = found
        return found

    def _find_fault(self) -> str:
        if self._doorbell is None or self._lock is None:
            return ""
        is_locked, is_reachable = self._lock.is_in_place(), self._doorbell.is_reachable()
        # Nothing tells that a directory was removed which processes have open. But its files are removed before.
        if _place_of(self._directory) != self._place or not (is_locked or is_reachable):
            return _LOST % self._directory
        if not is_locked:
            return _NO_LOCK % os.path.join(self._directory, SERVER)  # noqa: PTH118
        if not is_reachable:
            return _NO_DOORBELL % os.path.join(self._directory, DOORBELL)  # noqa: PTH118
        return ""

    def note_kill(self, pid: int) -> None:
        """Note that the server kills a process, so that its running task does not count that."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # no process has claimed a task yet
                note_kill(self._directory, pid)

    def restart(self) -> None:
        if self._lock is not None:
            self.close()
            self._open()

    def close(self) -> None:
        if self._watch is not None:
            self._selector.unregister(self._watch.fileno())
            self._watch.close()
            self._watch = None
        if self._doorbell is not None:
            self._selector.unregister(self._doorbell.fileno())
            self._doorbell.close()
            self._doorbell = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _explain(self, error: OSError) -> str:
        if isinstance(error, StoreError):
            return str(error)
        place = error.filename or self._directory
        return (
            f"cannot open the doorbell of tasks: {place} ({error.strerror}). Free disk space, or use another --spooler."
        )

    def _open(self) -> None:
        warning = make_directory(self._directory, allow_any=self._any_filesystem)
        if warning is not None:
            _LOG.warning("%s", warning)
        self._lock = ServerLock(self._directory, self._name, self._topology)
        self._doorbell = Doorbell(self._directory)
        self._selector.register(self._doorbell.fileno(), selectors.EVENT_READ, self._read)
        self._place, self._fault = _place_of(self._directory), ""
        self._watch_files()

    def _watch_files(self) -> None:
        """Notice the removal of the directory at once. Without a watch, the next enqueued task or reload finds it."""
        with contextlib.suppress(ScheduleError, OSError):
            self._watch = watch = Inotify()
            self._selector.register(watch.fileno(), selectors.EVENT_READ, self._look)
            place = os.path.realpath(self._directory)
            watch.add(place, ITSELF)
            for name in SERVER, DOORBELL:
                watch.add(os.path.join(place, name), UNLINKED)  # noqa: PTH118

    def _look(self, _now: float) -> None:
        if self._watch is not None:
            self._watch.read()
        self.is_lost()

    def _read(self, _now: float) -> None:
        for ring in self._doorbell.read() if self._doorbell is not None else ():
            self._wake(ring)


def _place_of(directory: str) -> tuple[int, int] | None:
    try:
        found = os.stat(directory)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino
