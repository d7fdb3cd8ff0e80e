"""Forks of a process that has a store open.

No thread may be inside SQLite while its process forks, and the child closes what it inherited before it opens its own:
else its connections would hold no lock at all.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from heliograph.store.owners import OwnersFile

if TYPE_CHECKING:
    from heliograph.store.database import Database

_WAIT = 5.0
"""Seconds that a fork waits for a transaction of another thread."""

_opened: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[threading.RLock] = []


def register(database: Database) -> None:
    """Look after a database when the process forks."""
    _opened.add(database)


def _before() -> None:
    for database in list(_opened):
        if not database.opening.acquire(timeout=_WAIT):
            continue
        locks = [database.opening]
        if database.pid == os.getpid() and database.gate.lock.acquire(timeout=_WAIT):
            database.read_lock.acquire()
            locks += [database.gate.lock, database.read_lock]
        _held.extend(locks)


def _after_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_in_child() -> None:
    _held.clear()
    OwnersFile.forget_all()
    for database in list(_opened):
        database.reset_locks()
        database.forget()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
