"""Connections to the database of a store, and the making of a new one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from urllib.parse import quote

from heliograph.ipc.store_directory import IDENTITY
from heliograph.store import identity
from heliograph.store.faults import damaged, verifying_error
from heliograph.store.identity import Identity
from heliograph.store.live_files import log_fault
from heliograph.store.log_length import LOG_BYTES
from heliograph.store.schema import APPLICATION_ID, LAST, migrate
from heliograph.store.verifying import verify

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another program that writes. The processes of heliograph wait at the gate."""

PAGE_BYTES = 2048
"""Bytes of a page of a new database. Each commit writes a page of the table and a page of an index to the log."""

CACHE_KB = 1000
"""Memory for pages, in each of the two connections of a process. The kernel has them too, and with 8 times as much, no
task is stored or run faster.
"""

EPOCH_BITS = 40
"""A sequence number has the epoch above these bits, so that each epoch has numbers of its own."""


def connect(path: str, *, sync: bool) -> sqlite3.Connection:
    """Open the connection that writes."""
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT, check_same_thread=False, cached_statements=256
    )
    [(page_bytes,)] = connection.execute("PRAGMA page_size").fetchall()
    for pragma in (
        f"synchronous = {'FULL' if sync else 'NORMAL'}",
        f"journal_size_limit = {LOG_BYTES}",
        f"wal_autocheckpoint = {LOG_BYTES // page_bytes}",
        f"cache_size = -{CACHE_KB}",
        "secure_delete = OFF",
        "temp_store = MEMORY",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def connect_to_read(path: str) -> sqlite3.Connection:
    """Open a connection that never writes, not even a checkpoint when it closes."""
    return sqlite3.connect(
        f"file:{quote(path)}?mode=ro",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT,
        check_same_thread=False,
        cached_statements=64,
    )


def create_or_verify(directory: str, path: str) -> Identity:
    """Open the identity of a store, and check the database, or make both. The caller holds the gate.

    Raises:
        StoreError: The store is damaged, or of a newer version. No byte of it has changed.
    """
    at = os.path.join(directory, IDENTITY)
    if not os.path.exists(at):
        if os.path.exists(path) or os.path.exists(path + "-wal"):
            raise damaged(directory, f"its file {IDENTITY!r} was removed")
        Identity.create(at).close()
    opened = Identity(at)
    if not opened.numbers[identity.READY]:
        _create(path, opened)
    else:
        _verify(directory, path, opened)
    return opened


def _create(path: str, opened: Identity) -> None:
    """Make the database. A process that was killed while it did so leaves one in which no task can be."""
    for suffix in "", "-wal", "-shm":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # no connection exists yet
    with contextlib.closing(connect(path, sync=True)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}").fetchall()
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
        connection.execute("INSERT INTO meta (id, key, epoch, changes) VALUES (1, ?, 0, 0)", (opened.key,))
        connection.execute("COMMIT")
    opened.note_inode(os.stat(path).st_ino)
    opened.numbers[identity.READY] = 1
    opened.flush()  # else a power cut could make a store with tasks look like one that was never made


def _verify(directory: str, path: str, opened: Identity) -> None:
    """Check the database through a connection that does not write, so that a damaged one stays as it is."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise damaged(directory, "its database was removed") from None
    if found.st_size == 0:
        raise damaged(directory, "its database was emptied")
    if opened.was_replaced(found.st_ino):
        raise damaged(directory, "its database was replaced")
    # Somebody else has written to the file, or a process was killed during a checkpoint.
    thorough = found.st_mtime_ns != opened.numbers[identity.MODIFIED]
    extra = [path + suffix for suffix in ("-wal", "-shm") if not os.path.exists(path + suffix)]
    try:
        with contextlib.closing(connect_to_read(path)) as connection:
            verify(connection, opened, directory, thorough=thorough)
    except BaseException as error:
        for made in extra:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(made)
        fault = log_fault(path, opened)
        if fault is not None and isinstance(error, sqlite3.Error):
            raise verifying_error(error, directory, fault) from error
        raise


def has_running(path: str) -> bool:
    """Return True if a task runs, or ran in a process that is gone."""
    with contextlib.closing(connect_to_read(path)) as connection:
        return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM task WHERE state = 2)").fetchall()[0][0])


def catch_up(connection: sqlite3.Connection, opened: Identity, *, sync: bool) -> None:
    """Migrate an older database, and note what its identity does not know, since its writer was killed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrate(connection)
        [(changes, last, epoch)] = connection.execute(f"SELECT changes, {LAST}, epoch FROM meta").fetchall()
        if opened.numbers[identity.WITHOUT_SYNC] and not opened.is_same_boot:
            # The machine may have lost the last commits, and their numbers with them.
            epoch += 1
            connection.execute("UPDATE meta SET epoch = ?", (epoch,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    numbers = opened.numbers
    if numbers[identity.EPOCH] != epoch:
        numbers[identity.EPOCH], numbers[identity.CHANGES], numbers[identity.COMMITTED] = epoch, changes, last
    numbers[identity.ALLOCATED] = max(numbers[identity.ALLOCATED], last, epoch << EPOCH_BITS)
    numbers[identity.TOKENS] = max(numbers[identity.TOKENS], changes)
    if not sync:
        numbers[identity.WITHOUT_SYNC] = 1
    elif not opened.is_same_boot:
        numbers[identity.WITHOUT_SYNC] = 0
    if not opened.is_same_boot:
        numbers[identity.OFFSET] = numbers[identity.JUMP] = 0  # the uptime has begun anew
        opened.note_boot()
        opened.flush()
