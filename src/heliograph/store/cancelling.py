"""Cancelling a task."""

from __future__ import annotations

from heliograph.store.database import Database
from heliograph.store.outcomes import refund, without_last
from heliograph.store.schema import DEFERRED, RUNNING

_CANCEL = "UPDATE task SET state = 6, ended = ?, owner = 0{more} WHERE number = ? AND state = {state} AND token = ?"
_CLAIMED = ", attempts = attempts - 1, workers = ?"


def cancel(database: Database, task_id: str, now: int) -> bool:
    """Cancel a task that has not begun."""
    database.ready()
    number = database.ids.read(task_id)
    if number is None:
        return False
    with database.write("cancel a task") as writing:
        sql = "SELECT state, owner, token, workers, kind, last FROM task WHERE number = ?"
        for state, owner, token, workers, kind, last in writing.connection.execute(sql, (number,)).fetchall():
            if state <= DEFERRED:
                writing.connection.execute(_CANCEL.format(more="", state=state), (now, number, token))
            elif state == RUNNING:
                if not _stop_claim(database, owner, number, token):
                    return False
                writing.connection.execute(
                    _CANCEL.format(more=_CLAIMED, state=state), (now, without_last(workers), number, token)
                )
                refund(writing.connection, kind, last)
            else:
                return False
            writing.ended.append(number)
            return True
    return False


def _stop_claim(database: Database, owner: int, number: int, token: int) -> bool:
    """Keep the owner from beginning a task that it has claimed. Return False if it has begun."""
    with database.owners.begin_lock(owner):
        return database.owners.page(owner).cancel(number, token)
