"""The store of the tasks of a server, whether that runs or not."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from heliograph._core.stats.histogram import Histogram
from heliograph._core.tasks.timings import TaskTimings
from heliograph._core.tasks.values import MESSAGE, TaskStatus
from heliograph.engines.left_tasks import find_left_tasks
from heliograph.exceptions import StoreError
from heliograph.insights.model import StoreState, TaskState
from heliograph.insights.signals import distribution
from heliograph.ipc.store_directory import has_store
from heliograph.models import MICROSECONDS

if TYPE_CHECKING:
    from heliograph.store.sqlite import SqliteStore

NO_TIMINGS = TaskTimings(Histogram(), Histogram(), {})

_Counts = Mapping[tuple[str, str, TaskStatus], int]


class StoreReader:
    """Looks at a store again and again. Use it as a context manager. It writes nothing."""

    def __init__(self, directory: Path) -> None:
        """Nothing is opened before the first `look`."""
        self.directory = directory
        self._store: SqliteStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. A later `look` opens it again."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def look(self, now: float, *, fault: str | None = None, sync: str | None = None) -> StoreState | None:
        """Return the present state of the store. None: there is none.

        Args:
            now: Seconds since 1970.
            fault: What the server has found wrong with the directory: it was removed or replaced.
            sync: Its `--task-sync`.
        """
        if not has_store(self.directory):
            return None if fault is None else self._broken(fault, sync, is_lost=True)
        try:
            return self._look(self._open(), int(now * MICROSECONDS), fault, sync)
        except (StoreError, OSError) as error:
            self.close()
            return self._broken(fault or str(error), sync, is_lost=fault is not None)

    def _open(self) -> SqliteStore:
        if self._store is None:
            from heliograph.store.sqlite import SqliteStore, uptime  # noqa: PLC0415 - it imports sqlite3

            self._store = SqliteStore(str(self.directory), uptime=uptime)
        return self._store

    def _look(self, store: SqliteStore, now: int, fault: str | None, sync: str | None) -> StoreState:
        facts, counts = store.facts(), store.counts(now)
        paused = tuple(found.name for found in store.paused())
        return StoreState(
            directory=str(self.directory),
            tasks=tuple(_tasks(counts, store, paused, now)),
            paused=paused,
            bytes=_number(facts["bytes"]),
            log_bytes=_number(facts["log_bytes"]),
            free_bytes=_free(self.directory),
            sqlite=str(facts["sqlite"]),
            sync=sync,
            fault=fault,
            warning=None if facts["warning"] is None else str(facts["warning"]),
            is_lost=fault is not None,
            left_tasks=0 if (left := find_left_tasks(self.directory)) is None else left.count,
        )

    def _broken(self, fault: str, sync: str | None, *, is_lost: bool) -> StoreState:
        import sqlite3  # noqa: PLC0415 - few processes look at a store

        return StoreState(
            directory=str(self.directory),
            tasks=(),
            paused=(),
            bytes=0,
            log_bytes=0,
            free_bytes=_free(self.directory),
            sqlite=sqlite3.sqlite_version,
            sync=sync,
            fault=fault,
            warning=None,
            is_lost=is_lost,
        )


def read_store(directory: Path) -> StoreState | None:
    """Return the state of the store in a directory. None: there is none."""
    with StoreReader(directory) as reader:
        return reader.look(time.time())


def _tasks(counts: _Counts, store: SqliteStore, paused: tuple[str, ...], now: int) -> Iterable[TaskState]:
    """Yield the functions that the server has, and those that have tasks. A function may have tasks of old targets."""
    functions, held_back, timings = store.functions(), store.held_back(now), store.timings()
    targets = dict(functions or {})
    for name, target, _ in counts:
        targets.setdefault(name, target)
    numbers: dict[str, Counter[str]] = {}
    for (name, _, status), count in counts.items():
        numbers.setdefault(name, Counter())[status.value] += count
    for name, target in sorted(targets.items()):
        times = timings.get(name, NO_TIMINGS)
        yield TaskState(
            name=name,
            target=target,
            counts=dict(numbers.get(name, {})),
            is_paused=name in paused or target in paused,
            is_known=functions is None or name in functions or name == MESSAGE,
            held_back=held_back.get(name),
            waited=distribution(times.waited),
            ran=distribution(times.ran),
        )


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _free(directory: Path) -> int:
    """Return the free bytes of the file system of a directory, which may have been removed."""
    for place in (directory, *directory.parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return 0
