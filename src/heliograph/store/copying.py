"""Backups and checks of a store."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable

from heliograph.exceptions import StoreError
from heliograph.store import identity
from heliograph.store.database import Database
from heliograph.store.faults import store_error
from heliograph.store.verifying import verify

_PAGES = 1000
"""Pages that one step of a backup copies."""


def backup(database: Database, path: str, progress: Callable[[int, int], None] | None) -> None:
    """Write a copy of the store to a file. Its directory gets the file when it is complete.

    Raises:
        StoreError: The file exists, or cannot be written.
    """
    database.ready()
    if os.path.exists(path):
        raise StoreError(f"cannot write the backup: {path} exists. Use another name.", database.directory)
    partial = f"{path}.partial"
    try:
        with contextlib.closing(database.connect_to_read()) as source:
            copy(source, partial, progress)
        os.rename(partial, path)
        identity.sync_directory(os.path.dirname(os.path.abspath(path)))
    except (sqlite3.Error, OSError) as error:
        directory = os.path.dirname(os.path.abspath(path))
        raise store_error(error, directory, "write the backup") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def copy(source: sqlite3.Connection, path: str, progress: Callable[[int, int], None] | None) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as target:

        def report(_status: int, remaining: int, total: int) -> None:
            if progress is not None:
                progress(total - remaining, total)

        source.backup(target, pages=_PAGES, progress=report, sleep=0)
        target.execute("PRAGMA journal_mode = DELETE").fetchall()


def check(database: Database) -> list[str]:
    """Return the faults of a store, a line each."""
    try:
        database.ready()
        with contextlib.closing(database.connect_to_read()) as connection:
            verify(connection, database.identity, database.directory)
            rows = connection.execute("PRAGMA integrity_check").fetchall()
    except (sqlite3.Error, StoreError) as error:
        return [str(store_error(error, database.directory, "check the store"))]
    return [line for (line,) in rows if line != "ok"]
