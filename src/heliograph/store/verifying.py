"""The check that a database has at least what its identity says."""

from __future__ import annotations

import sqlite3

from heliograph.exceptions import StoreError
from heliograph.store import identity
from heliograph.store.faults import damaged
from heliograph.store.identity import Identity
from heliograph.store.schema import APPLICATION_ID, LAST, MIGRATIONS


def verify(connection: sqlite3.Connection, known: Identity, directory: str, *, thorough: bool = False) -> None:
    """Check a database. With `thorough`, check all its pages and indexes too.

    Raises:
        StoreError: The database is not that of the identity, lacks commits, is damaged, or is of a newer version.
    """
    if connection.execute("PRAGMA application_id").fetchall() != [(APPLICATION_ID,)]:
        raise damaged(directory, "its database is not one of heliograph")
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store of tasks in {directory} is of a newer heliograph (version {version}, this one knows "
            f"{len(MIGRATIONS)}). Install that version, or move the directory away.",
            directory,
        )
    [(key, epoch, changes, last)] = connection.execute(f"SELECT key, epoch, changes, {LAST} FROM meta").fetchall()
    numbers = known.numbers
    if key != known.key:
        raise damaged(directory, "its database is that of another store")
    if epoch < numbers[identity.EPOCH]:
        raise damaged(directory, "its database is an older copy")
    if not _may_lack_commits(known):
        if last < numbers[identity.COMMITTED]:
            missing = numbers[identity.COMMITTED] - last
            raise damaged(directory, f"its database is an older copy, or has lost commits ({missing} tasks at the end)")
        if changes < numbers[identity.CHANGES]:
            raise damaged(directory, "its database is an older copy, or has lost commits")
    if thorough:
        faults = [line for (line,) in connection.execute("PRAGMA integrity_check(3)").fetchall() if line != "ok"]
        if faults:
            raise damaged(directory, "; ".join(faults))


def _may_lack_commits(known: Identity) -> bool:
    """Return True if the machine has restarted since the last commits, and they did not wait for the disk."""
    return bool(known.numbers[identity.WITHOUT_SYNC]) and not known.is_same_boot
