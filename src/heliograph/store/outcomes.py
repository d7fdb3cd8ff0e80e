"""Writing the end of an attempt.

Each statement names the row, the claim and the attempt, so an older one changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from heliograph._core.tasks.life import after_death, death_error, lost_value_error
from heliograph._core.tasks.values import Outcome, TaskStatus
from heliograph.store.owner_page import BEGUN, CANCELLED, DONE, Entry, OwnerPage
from heliograph.store.schema import STATE
from heliograph.store.writing import Writing

_CLAIM = "number = ? AND state = 2 AND token = ? AND attempts = ?"

_END = (
    "UPDATE task SET state = ?, value = ?, ended = ?, owner = 0, deaths = 0,"
    " first = CASE first WHEN last THEN ? ELSE first END, last = ? WHERE " + _CLAIM
)

_CHANGE = (
    "UPDATE task SET state = ?, value = ?, ended = ?, owner = 0, deaths = ?, attempts = ?, workers = ?, errors = ?,"
    " run_after = ?, first = CASE first WHEN last THEN ? ELSE first END, last = ? WHERE " + _CLAIM
)

_ROW = "SELECT deaths, redeliver, workers, errors, run_after, last, kind FROM task WHERE " + _CLAIM

ERROR_SEPARATOR = "\n"
"""Between errors, and between workers. JSON has no line feeds."""


class Ends:
    """Ends of attempts that have nothing but a status and a value, to be written in one statement."""

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = []
        self._numbers: list[int] = []

    def add(  # noqa: PLR0913, PLR0917 - the columns
        self, token: int, status: TaskStatus, value: bytes | None, finished: int, begun: int, number: int, attempt: int
    ) -> None:
        """Add the end of an attempt."""
        self._rows.append((STATE[status], value, finished, begun, begun, number, token, attempt))
        self._numbers.append(number)

    def write(self, writing: Writing) -> None:
        """Write them in the open transaction."""
        if self._rows:
            writing.connection.executemany(_END, self._rows)
            writing.ended += self._numbers


def is_plain(outcome: Outcome) -> bool:
    """Return True if `write_ends` can write this outcome."""
    return outcome.error is None and outcome.counts and outcome.status is not TaskStatus.READY


def apply_entry(writing: Writing, entry: Entry, outcome: Outcome) -> None:
    """Write the outcome of an entry."""
    if is_plain(outcome) and not entry.lost:
        ends = Ends()
        ends.add(
            entry.token, outcome.status, outcome.value, entry.finished_at, entry.begun_at, entry.number, entry.attempt
        )
        ends.write(writing)
        return
    found = _find(writing.connection, entry)
    if found is None:
        return
    _, _, workers, errors, *_ = found
    state = STATE[outcome.status]
    if outcome.status is TaskStatus.READY and outcome.run_after > entry.finished_at:
        state = 1
    run_after = outcome.run_after if state < 2 else found[4]
    error = outcome.error
    if entry.lost and outcome.value is None and error is None:
        error = lost_value_error(entry.lost)
    attempts = entry.attempt
    if not outcome.counts:
        attempts, workers = attempts - 1, without_last(workers)
    _change(
        writing,
        entry,
        (state, outcome.value, entry.finished_at, 0, attempts, workers, with_error(errors, error), run_after),
    )


def write_if_done(writing: Writing, page: OwnerPage, number: int, token: int) -> bool:
    """Write the end of a running task if its owner has noted it, and not written it yet. Return True if so."""
    entry = page.find(number, token)
    if entry is None or entry.state != DONE or entry.lost:
        return False
    apply_entry(writing, entry, entry.outcome)
    return True


def apply_death(writing: Writing, entry: Entry, *, interrupted: bool, now: int) -> None:
    """Write what becomes of a task whose owner is gone: it had ended, had begun, or had only been claimed."""
    if entry.state == DONE:
        apply_entry(writing, entry, entry.outcome)
    elif entry.state == BEGUN:
        _die(writing, entry, interrupted=interrupted, now=now)
    elif entry.state != CANCELLED:
        give_back(writing, entry)


def _die(writing: Writing, entry: Entry, *, interrupted: bool, now: int) -> None:
    found = _find(writing.connection, entry)
    if found is None:
        return
    deaths, redeliver, workers, errors, run_after, _, _ = found
    death = after_death(deaths, redeliver=bool(redeliver), interrupted=interrupted)
    attempts = entry.attempt
    if death.counts:
        errors = with_error(errors, death_error((workers or "").split(ERROR_SEPARATOR)[-1]))
        writing.note_death(entry.number, attempts, dead=death.status is TaskStatus.DEAD)
    else:
        attempts, workers = attempts - 1, without_last(workers)
    state = STATE[death.status]
    _change(writing, entry, (state, None, now, death.deaths, attempts, workers, errors, run_after))


def give_back(writing: Writing, entry: Entry) -> None:
    """Let a claimed task wait again, as if it had not been claimed. The rate does not count it either."""
    found = _find(writing.connection, entry)
    if found is None:
        return
    _, _, workers, _, _, last, kind = found
    connection = writing.connection
    connection.execute(
        "UPDATE task SET state = 0, owner = 0, attempts = attempts - 1, workers = ? WHERE " + _CLAIM,
        (without_last(workers), entry.number, entry.token, entry.attempt),
    )
    refund(connection, kind, last)


def refund(connection: sqlite3.Connection, kind: int, at: int) -> None:
    """Let the rate of a function forget an attempt that was claimed at this time, and did not begin."""
    connection.execute(
        "UPDATE begun SET count = count - 1 WHERE name = (SELECT name FROM kind WHERE id = ?) AND at = ? AND count > 0",
        (kind, at),
    )


def _find(connection: sqlite3.Connection, entry: Entry) -> tuple[Any, ...] | None:
    rows = connection.execute(_ROW, (entry.number, entry.token, entry.attempt)).fetchall()
    return rows[0] if rows else None


def _change(writing: Writing, entry: Entry, values: tuple[Any, ...]) -> None:
    begun = entry.begun_at
    writing.connection.execute(_CHANGE, (*values, begun, begun, entry.number, entry.token, entry.attempt))
    if values[0] > 2:
        writing.ended.append(entry.number)


def without_last(workers: str | None) -> str | None:
    """Return the workers without that of the last attempt."""
    return workers.rpartition(ERROR_SEPARATOR)[0] if workers and ERROR_SEPARATOR in workers else None


def with_error(errors: bytes | None, error: bytes | None) -> bytes | None:
    """Return the errors with one more. They are lines of JSON."""
    if error is None:
        return errors
    line = error if b"\n" not in error else json.dumps(json.loads(error)).encode()
    return line if errors is None else errors + b"\n" + line
