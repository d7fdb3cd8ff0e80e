"""Reading tasks: the database, and the pages of the owners with what they have not written to it yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.store.database import Database
from heliograph.store.outcomes import ERROR_SEPARATOR
from heliograph.store.owner_page import BEGUN, DONE, Entry
from heliograph.store.schema import STATE, STATUS

_COLUMNS = (
    "SELECT number, name, target, arguments, state, priority, run_after, expires, key, redeliver, overrides, attempts,"
    " deaths, enqueued, first, last, ended, workers, value, errors, progress, owner, token"
    " FROM task JOIN kind ON kind.id = task.kind "
)

_LARGEST = 2**63 - 1


def get(database: Database, task_id: str) -> TaskRow | None:
    """Return a task, as it is now."""
    database.ready()
    number = database.ids.read(task_id)
    return None if number is None else _get(database, number)


def _get(database: Database, number: int) -> TaskRow | None:
    row: tuple[Any, ...] = ()
    for _ in range(3):
        rows = database.read(_COLUMNS + "WHERE number = ?", (number,))
        if not rows:
            return None
        row = rows[0]
        found = _as_it_is_now(database, row)
        if found is not None:  # else the owner has written it in the meantime
            return found
    return _seen(database, row)


def find(
    database: Database,
    *,
    statuses: Sequence[TaskStatus],
    name: str | None,
    target: str | None,
    after: str | None,
    limit: int,
) -> list[TaskRow]:
    """Return tasks, newest first."""
    database.ready()
    wanted = frozenset(statuses or STATUS)
    # What has just ended is RUNNING in the database until its owner writes it.
    states = [state for state, status in enumerate(STATUS) if status in {*wanted, TaskStatus.RUNNING}]
    where, parameters = [f"state IN ({', '.join(map(str, states))})"], list[Any]()
    for column, value in ("name", name), ("target", target):
        if value is not None:
            where.append(f"{column} = ?")
            parameters.append(value)
    sql = f"{_COLUMNS}WHERE {' AND '.join([*where, 'number < ?'])} ORDER BY number DESC LIMIT ?"
    below = _LARGEST if after is None else database.ids.read(after) or 0
    found: list[TaskRow] = []
    while len(found) < limit:
        rows = database.read(sql, (*parameters, below, limit))
        seen = (_as_it_is_now(database, row) or _get(database, row[0]) for row in rows)
        found += [row for row in seen if row is not None and row.status in wanted]
        if len(rows) < limit:
            break
        below = rows[-1][0]
    return found[:limit]


def _as_it_is_now(database: Database, row: tuple[Any, ...]) -> TaskRow | None:
    """Return the task of a row. None: it is RUNNING, and its owner does not know it any longer."""
    if STATUS[row[4]] is not TaskStatus.RUNNING:
        return _seen(database, row)
    entry = database.owners.page(row[21]).find(row[0], row[22])
    return None if entry is None else _seen(database, _with_entry(row, entry))


def _seen(database: Database, row: tuple[Any, ...]) -> TaskRow:
    (number, name, target, arguments, state, priority, run_after, expires, key, redeliver, overrides, attempts) = row[
        :12
    ]
    deaths, enqueued, first, last, ended, workers, value, errors, progress = row[12:21]
    return TaskRow(
        id=database.ids.make(number),
        name=name,
        target=target,
        arguments=arguments,
        status=STATUS[int(state)],
        priority=priority,
        run_after=run_after,
        expires=expires,
        unique=None if key is None else key.partition("\n")[2],
        redeliver=bool(redeliver),
        overrides=overrides or b"",
        attempts=attempts,
        deaths=deaths,
        enqueued_at=enqueued,
        first_attempt_at=first,
        last_attempt_at=last,
        finished_at=ended if state > 2 else 0,
        workers=() if workers is None else tuple(workers.split(ERROR_SEPARATOR)),
        value=value,
        errors=() if errors is None else tuple(errors.split(b"\n")),
        progress=progress,
    )


def _with_entry(row: tuple[Any, ...], entry: Entry) -> tuple[Any, ...]:
    """Return a row with what is in the page of its owner, and not in the database yet."""
    changed = list(row)
    outcome = entry.outcome
    if entry.state in {BEGUN, DONE}:
        changed[14], changed[15] = (entry.begun_at if row[14] == row[15] else row[14]), entry.begun_at
    if entry.state == DONE and not entry.lost and outcome.status is not TaskStatus.READY:
        changed[4], changed[12], changed[16], changed[18] = STATE[outcome.status], 0, entry.finished_at, outcome.value
    return tuple(changed)
