"""The return of a store to the state of a backup."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3

from heliograph.exceptions import StoreError
from heliograph.ipc.store_directory import DATABASE, IDENTITY, running_server
from heliograph.store import identity
from heliograph.store.copying import copy
from heliograph.store.faults import store_error
from heliograph.store.gate import Gate
from heliograph.store.identity import Identity
from heliograph.store.opening import connect, connect_to_read
from heliograph.store.schema import APPLICATION_ID


def restore(directory: str, backup_file: str | None) -> int:
    """Replace the tasks of a store by those of a backup, or accept what is there (None). Return the number of tasks.

    The old files stay in the directory, under names that end with `.old`. No process may have the store open.

    Raises:
        StoreError: A server runs, or the file is no backup of a store.
    """
    server = running_server(directory)
    if server is not None:
        raise StoreError(f"tasks in {directory} belong to a running server: {server!r}. Stop it first.", directory)
    gate = Gate(directory)
    try:
        with gate:
            return _restore(directory, backup_file)
    except (sqlite3.Error, OSError) as error:
        raise store_error(error, directory, "restore the tasks") from error
    finally:
        gate.close()


def _restore(directory: str, backup_file: str | None) -> int:
    path = os.path.join(directory, DATABASE)
    new = path + ".new"
    with contextlib.closing(connect_to_read(backup_file or path)) as source:
        if not _is_store(source):
            text = f"cannot restore the tasks: {backup_file or path} is no store of tasks. Use a backup of one."
            raise StoreError(text, directory)
        copy(source, new, None)
    _check(new, backup_file or path, directory)
    epoch = _last_epoch(directory) + 1
    with contextlib.closing(connect(new, sync=True)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        key = connection.execute("SELECT key FROM meta").fetchall()[0][0]
        [(found,)] = connection.execute("SELECT epoch FROM meta").fetchall()
        epoch = max(epoch, found + 1)
        # Nobody runs a task now: claims in the copy are those of processes that are gone.
        connection.execute("UPDATE meta SET epoch = ?", (epoch,))
        connection.execute("DELETE FROM waiter")
        [(count,)] = connection.execute("SELECT count(*) FROM task").fetchall()
    for suffix in "", "-wal", "-shm":
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, f"{path}{suffix}.old")
    os.rename(new, path)
    _new_identity(directory, key)
    return int(count)


def _check(new: str, source: str, directory: str) -> None:
    """Check the copy, before it replaces anything. Raises: StoreError: it is damaged."""
    with contextlib.closing(connect_to_read(new)) as connection:
        try:
            faults = [line for (line,) in connection.execute("PRAGMA integrity_check(1)").fetchall() if line != "ok"]
        except sqlite3.DatabaseError as error:
            faults = [str(error)]
    if faults:
        os.unlink(new)
        fault = " ".join(faults[0].split())
        advice = "Use another backup, or move the directory away."
        text = f"cannot restore the tasks: {source} is damaged ({fault}). {advice}"
        raise StoreError(text, directory)


def _is_store(source: sqlite3.Connection) -> bool:
    try:
        return bool(source.execute("PRAGMA application_id").fetchall() == [(APPLICATION_ID,)])
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:
            return False
        raise


def _last_epoch(directory: str) -> int:
    try:
        known = Identity(os.path.join(directory, IDENTITY))
    except (OSError, StoreError):
        return 0
    return int(known.numbers[identity.EPOCH])


def _new_identity(directory: str, key: bytes) -> None:
    """Write an identity that accepts the database as it is."""
    at = os.path.join(directory, IDENTITY)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(at, at + ".old")
    made = Identity.create(at, key)
    made.numbers[identity.READY] = 1
    made.flush()
