"""Removing old tasks in small bites."""

from __future__ import annotations

from heliograph._core.tasks.life import MAX_INTEGER
from heliograph.store import clock, timings
from heliograph.store.database import Database
from heliograph.store.schema import LAST, REMOVAL

_OLD = (
    f"SELECT number, {REMOVAL} AS at FROM task WHERE state > 2 AND {REMOVAL} BETWEEN ? AND ? AND ended >= ?"
    " ORDER BY at, number LIMIT ?"
)


def purge(database: Database, now: int, limit: int) -> int:
    """Remove at most `limit` tasks whose time has come, and give some space back to the file system."""
    with database.write("remove old tasks") as writing:
        jump = clock.last_jump(database, now)
        connection = writing.connection
        rows = connection.execute(_OLD, (-MAX_INTEGER, now - jump.size, -MAX_INTEGER, limit)).fetchall()
        if jump.size and len(rows) < limit:
            # What ended after the clock was set ahead.
            left = limit - len(rows)
            rows += connection.execute(_OLD, (jump.at, now, jump.at, left)).fetchall()
        numbers = [(number,) for number, _ in rows]
        if numbers:
            # The newest number stays known: it shows that no commit is lost.
            connection.execute(f"UPDATE meta SET last = {LAST}")
        connection.executemany("DELETE FROM task WHERE number = ? AND state > 2", numbers)
        timings.remove_old(connection, now - jump.size)
        if database.has_waiters():
            connection.executemany("DELETE FROM waiter WHERE number = ?", numbers)
    for _ in range(1 if rows else _MAX_BITES):
        if not free_pages(database):
            break
    return len(rows)


_MAX_BITES = 100


def free_pages(database: Database, pages: int = 256) -> bool:
    """Give free pages at the end of the database back to the file system, if there are many. Return True if so."""
    [(free,)] = database.read("PRAGMA freelist_count")
    [(total,)] = database.read("PRAGMA page_count")
    if free < 1000 or free * 4 < total:
        return False
    database.vacuum(pages)
    return True
