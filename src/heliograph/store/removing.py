"""Removing old tasks in small bites."""

from __future__ import annotations

from typing import Any

from heliograph.store.database import Database


def purge(database: Database, before: int, limit: int) -> int:
    """Remove at most `limit` tasks that ended before a time, and give some space back to the file system.

    The newest task stays, since it shows that no commit is lost.
    """
    with database.write("remove old tasks") as writing:
        connection = writing.connection
        [(newest,)] = connection.execute("SELECT max(number) FROM task").fetchall()
        rows: list[tuple[Any, ...]] = connection.execute(
            "DELETE FROM task WHERE number IN (SELECT number FROM task WHERE state > 2 AND ended < ? AND number <> ?"
            " ORDER BY ended, number LIMIT ?) RETURNING number",
            (before, newest or 0, limit),
        ).fetchall()
        if database.has_waiters():
            connection.executemany("DELETE FROM waiter WHERE number = ?", rows)
    if rows:
        free_pages(database)
    return len(rows)


def free_pages(database: Database, pages: int = 64) -> None:
    """Give free pages at the end of the database back to the file system, if there are many."""
    [(free,)] = database.read("PRAGMA freelist_count")
    [(total,)] = database.read("PRAGMA page_count")
    if free > 1000 and free * 4 > total:
        with database.write("shrink the store") as writing:
            writing.connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
            writing.always = True
