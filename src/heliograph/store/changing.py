"""Progress of an attempt, and pauses of functions and targets."""

from __future__ import annotations

from heliograph.store.database import Database


def report_progress(database: Database, task_id: str, attempt: int, progress: bytes) -> bool:
    """Keep the progress of an attempt that runs."""
    database.ready()
    number = database.ids.read(task_id)
    with database.write("report progress") as writing:
        sql = "SELECT owner, token FROM task WHERE number = ? AND state = 2 AND attempts = ?"
        for owner, token in writing.connection.execute(sql, (number, attempt)).fetchall():
            if not database.owners.page(owner).runs(number or 0, token):
                return False
            writing.connection.execute(
                "UPDATE task SET progress = ? WHERE number = ? AND state = 2 AND token = ? AND attempts = ?",
                (progress, number, token, attempt),
            )
            return True
    return False


def pause(database: Database, name: str, by: str, now: int) -> None:
    """Do not begin tasks of this function or target."""
    with database.write("pause tasks") as writing:
        writing.connection.execute("INSERT OR IGNORE INTO paused VALUES (?, ?, ?)", (name, now, by))


def resume(database: Database, name: str) -> bool:
    """Take `pause` back."""
    with database.write("resume tasks") as writing:
        found = writing.connection.execute("DELETE FROM paused WHERE name = ? RETURNING name", (name,)).fetchall()
        return bool(found)
