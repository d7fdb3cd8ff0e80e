"""The tables of a store in SQLite, and the steps from older versions to this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from heliograph._core.tasks.values import TaskStatus

APPLICATION_ID = 0x48674C31

USUAL_TTL = 86_400_000_000
"""A task with this time to its removal has NULL in its row."""

REMOVAL = "ended + coalesce(ttl, 86400000000)"
"""The expression of an index: the time to remove a finished task."""

DUE, DEFERRED, RUNNING, SUCCESSFUL, FAILED, DEAD, CANCELLED, EXPIRED = range(8)
"""States of a row. Up to DEFERRED it waits, up to RUNNING it has not finished. Statements have them as literals, since
SQLite uses a partial index for a literal only.
"""

STATUS: tuple[TaskStatus, ...] = (
    TaskStatus.READY,
    TaskStatus.READY,
    TaskStatus.RUNNING,
    TaskStatus.SUCCESSFUL,
    TaskStatus.FAILED,
    TaskStatus.DEAD,
    TaskStatus.CANCELLED,
    TaskStatus.EXPIRED,
)
"""The status of each state."""

STATE = {status: state for state, status in enumerate(STATUS) if state != DEFERRED}

_FIRST = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL, epoch INTEGER NOT NULL, changes INTEGER NOT NULL,
    last INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE kind (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL, UNIQUE (name, target)
) STRICT;
CREATE TABLE task (
    number INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    run_after INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    enqueued INTEGER NOT NULL,
    arguments BLOB NOT NULL,
    key TEXT,
    redeliver INTEGER NOT NULL,
    overrides BLOB,
    tick TEXT,
    ttl INTEGER,
    owner INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    first INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0,
    workers TEXT,
    value BLOB,
    progress BLOB,
    errors BLOB
) STRICT;
CREATE INDEX task_due ON task (kind, priority DESC, number) WHERE state = 0;
CREATE INDEX task_deferred ON task (kind, run_after) WHERE state = 1;
CREATE INDEX task_running ON task (kind, owner) WHERE state = 2;
CREATE INDEX task_removal ON task (ended + coalesce(ttl, 86400000000)) WHERE state > 2;
CREATE UNIQUE INDEX task_tick ON task (tick) WHERE tick IS NOT NULL;
CREATE INDEX task_expires ON task (kind, expires) WHERE state < 2 AND expires > 0;
CREATE UNIQUE INDEX task_key ON task (key) WHERE state < 3 AND key IS NOT NULL;
CREATE TABLE begun (
    name TEXT NOT NULL, at INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (name, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE paused (name TEXT PRIMARY KEY, since INTEGER NOT NULL, by TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE waiter (
    number INTEGER NOT NULL, address TEXT NOT NULL, PRIMARY KEY (number, address)
) STRICT, WITHOUT ROWID;
"""

LAST = "max(last, (SELECT coalesce(max(number), 0) FROM task))"
"""The expression of the newest sequence number, in a statement that reads `meta`."""

_TIMINGS = """
CREATE TABLE timing (
    name TEXT PRIMARY KEY, last INTEGER NOT NULL, data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: list[str] = [_FIRST, _TIMINGS]
"""Scripts. The one at index n leads from version n to version n + 1. Never change one that was released."""


def version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema, 0 for an empty database."""
    row: Sequence[int] = connection.execute("PRAGMA user_version").fetchall()[0]
    return row[0]


def migrate(connection: sqlite3.Connection) -> None:
    """Lead the open transaction's database to the newest version."""
    for number in range(version(connection), len(MIGRATIONS)):
        for statement in MIGRATIONS[number].split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number + 1}")


AFFECTED = (3, 7, 0)
FIXED = (3, 51, 3)
BACKPORTED = {(3, 44): 6, (3, 50): 7}


def sqlite_warning(found: tuple[int, ...] = sqlite3.sqlite_version_info) -> str | None:
    """Return a warning if this SQLite has a known fault that the store has to work around."""
    patched = BACKPORTED.get((found[0], found[1]))
    if not AFFECTED <= found < FIXED or (patched is not None and found[2] >= patched):
        return None
    text = ".".join(map(str, found[:3]))
    return (
        f"SQLite {text} may lose commits when a checkpoint meets them. The store prevents that. "
        "Do not let other programs write to it. Fixed in 3.51.3, 3.50.7 and 3.44.6."
    )
