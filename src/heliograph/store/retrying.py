"""Trying finished tasks again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heliograph.store.database import Database
from heliograph.store.outcomes import write_if_done
from heliograph.store.schema import RUNNING, STATUS
from heliograph.store.writing import Writing


def retry(database: Database, task_ids: Sequence[str]) -> Mapping[str, str]:
    """Give finished tasks their attempts and lives again. Those that cannot be retried do not stop the others."""
    database.ready()
    refused: dict[str, str] = {}
    for start in range(0, len(task_ids), 500):  # in bites, each a transaction of its own
        with database.write("retry tasks") as writing:
            for task_id in task_ids[start : start + 500]:
                reason = _retry(database, writing, database.ids.read(task_id))
                if reason is not None:
                    refused[task_id] = reason
    return refused


def _retry(database: Database, writing: Writing, number: int | None) -> str | None:
    connection = writing.connection
    rows = connection.execute("SELECT state, key, owner, token FROM task WHERE number = ?", (number,)).fetchall()
    if number is None or not rows:
        return "there is no such task"
    state, key, owner, token = rows[0]
    if state == RUNNING and write_if_done(writing, database.owners.page(owner), number, token):
        return _retry(database, writing, number)
    if state <= RUNNING:
        return f"it is {STATUS[state]}, and has not finished"
    held = connection.execute(
        "SELECT number FROM task WHERE key = ? AND key IS NOT NULL AND state < 3", (key,)
    ).fetchall()
    if held:
        return f"key {key.partition(chr(10))[2]!r} is held by {database.ids.make(held[0][0])}"
    connection.execute(
        "UPDATE task SET state = 0, owner = 0, attempts = 0, deaths = 0, ended = 0, run_after = 0, expires = 0,"
        " value = NULL, progress = NULL WHERE number = ? AND state = ?",
        (number, state),
    )
    return None
