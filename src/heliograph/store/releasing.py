"""Releasing the tasks of owners that are gone."""

from __future__ import annotations

from heliograph._core.tasks.values import Outcome, TaskStatus
from heliograph.store.outcomes import apply_death
from heliograph.store.owner_page import BEGUN, Entry
from heliograph.store.owners import OwnersFile
from heliograph.store.waiting import forgotten_waiters
from heliograph.store.writing import Writing


def release_gone(writing: Writing, owners: OwnersFile, now: int) -> bool:
    """Release the tasks of each owner whose process has ended. The kernel says so, and no clock. Return True if any."""
    rows = writing.connection.execute("SELECT DISTINCT owner FROM task WHERE state = 2").fetchall()
    gone = [owner for (owner,) in rows if not owners.is_alive(owner)]
    for owner in gone:
        release(writing, owners, owner, now)
    if gone:
        writing.ended += forgotten_waiters(writing.connection)
    return bool(gone)


def release(writing: Writing, owners: OwnersFile, number: int, now: int) -> None:
    """Write what became of the tasks of an owner whose process has ended."""
    page = owners.page(number)
    interrupted = page.is_interrupted
    for entry in page.entries():
        apply_death(writing, entry, interrupted=interrupted, now=now)
    rows = writing.connection.execute(
        "SELECT number, token, attempts, last FROM task WHERE state = 2 AND owner = ?", (number,)
    ).fetchall()
    for task, token, attempt, last in rows:
        # The machine has restarted, so the page is older than the rows. Perhaps the attempt had begun.
        entry = Entry(task, token, attempt, BEGUN, last, 0, Outcome(TaskStatus.READY), 0)
        apply_death(writing, entry, interrupted=True, now=now)
