"""The return of a store to the state of a backup."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3

from heliograph.exceptions import StoreError
from heliograph.ipc.store_directory import DATABASE, IDENTITY, OWNERS, running_server
from heliograph.store import identity
from heliograph.store.copying import copy
from heliograph.store.faults import CORRUPT, RESTORE, is_left, store_error
from heliograph.store.gate import Gate
from heliograph.store.identity import Identity
from heliograph.store.opening import connect, connect_to_read
from heliograph.store.owners import is_overwritten
from heliograph.store.schema import APPLICATION_ID


def restore(directory: str, backup_file: str | None) -> int:
    """Replace the tasks of a store by those of a backup, or accept what is there (None). Return the number of tasks.

    The old files stay in the directory, under names that end with `free_suffix`. No process may have the store open.

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


def free_suffix(directory: str) -> str:
    """Return what the next restoring adds to the names of the old files: `.old`, or `.old2` and so on."""
    names = os.listdir(directory)
    suffixes = itertools.chain([".old"], (f".old{number}" for number in itertools.count(2)))
    return next(suffix for suffix in suffixes if not any(name.endswith(suffix) for name in names))


def _restore(directory: str, backup_file: str | None) -> int:
    path = os.path.join(directory, DATABASE)
    new = path + ".new"
    if backup_file is None and not is_left(directory):
        raise _nothing_is_left(directory, "there is no database, or an empty one")
    _copy(directory, backup_file, new)
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
    _replace(directory, new)
    _new_identity(directory, key)
    return int(count)


def _copy(directory: str, backup_file: str | None, new: str) -> None:
    """Copy the database, and check the copy before it replaces anything."""
    path = backup_file or os.path.join(directory, DATABASE)
    try:
        with contextlib.closing(connect_to_read(path)) as source:
            if source.execute("PRAGMA application_id").fetchall() != [(APPLICATION_ID,)]:
                raise _no_store(directory, backup_file)
            copy(source, new, None)
        with contextlib.closing(connect_to_read(new)) as connection:
            faults = [line for (line,) in connection.execute("PRAGMA integrity_check(1)").fetchall() if line != "ok"]
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            raise _no_store(directory, backup_file) from error
        if code not in CORRUPT:
            raise
        faults = [str(error)]
    if faults:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        fault = " ".join(faults[0].split())
        advice = "Use another backup, or move the directory away."
        raise StoreError(f"cannot restore the tasks: {path} is damaged ({fault}). {advice}", directory)


def _no_store(directory: str, backup_file: str | None) -> StoreError:
    if backup_file is None:
        return _nothing_is_left(directory, f"{DATABASE} is no store of tasks")
    return StoreError(f"cannot restore the tasks: {backup_file} is no store of tasks. Use a backup of one.", directory)


def _nothing_is_left(directory: str, reason: str) -> StoreError:
    advice = f"{RESTORE[0].upper()}{RESTORE[1:]}, or move the directory away to begin without tasks."
    return StoreError(f"cannot accept the tasks as they are: {directory} ({reason}). {advice}", directory)


def _replace(directory: str, new: str) -> None:
    """Move the old files aside, and the new database in their place."""
    path = os.path.join(directory, DATABASE)
    suffix = free_suffix(directory)
    identity_path, owners_path = os.path.join(directory, IDENTITY), os.path.join(directory, OWNERS)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(identity_path, identity_path + suffix)
    if is_overwritten(owners_path):  # else it stays: it has outcomes that are not in the database yet
        os.rename(owners_path, owners_path + suffix)
    for part in "", "-wal", "-shm":
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + part, f"{path}{part}{suffix}")
    os.rename(new, path)


def _last_epoch(directory: str) -> int:
    try:
        known = Identity(os.path.join(directory, IDENTITY))
    except (OSError, StoreError):
        return 0
    return int(known.numbers[identity.EPOCH])


def _new_identity(directory: str, key: bytes) -> None:
    """Write an identity that accepts the database as it is."""
    at = os.path.join(directory, IDENTITY)
    made = Identity.create(at, key)
    made.numbers[identity.READY] = 1
    made.flush()
