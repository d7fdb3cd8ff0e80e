"""Storing new tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from heliograph._core.tasks.life import check_new
from heliograph._core.tasks.values import NewTask, Stored
from heliograph.store import identity
from heliograph.store.database import Database
from heliograph.store.faults import store_error
from heliograph.store.outcomes import write_if_done
from heliograph.store.schema import RUNNING, USUAL_TTL
from heliograph.store.writing import Writing

_INSERT = (
    "INSERT INTO task"
    " (number, kind, state, priority, run_after, expires, enqueued, arguments, key, redeliver, overrides, tick, ttl)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_INSERT_PLAIN = (
    "INSERT INTO task (number, kind, state, priority, run_after, expires, enqueued, arguments, redeliver)"
    " VALUES (?, ?, 0, 0, 0, 0, ?, ?, 1)"
)
"""A task with no options. It takes three quarters of the time of the other statement."""

_HOLDER = "SELECT number, state, owner, token FROM task WHERE key = ? AND key IS NOT NULL AND state < 3"


def enqueue(database: Database, tasks: Sequence[NewTask], now: int) -> list[Stored]:
    """Store tasks, all or none."""
    try:
        if len(tasks) == 1 and tasks[0].unique is None and not tasks[0].tick:
            number = _enqueue_one(database, tasks[0], now)
            if number:
                return [Stored(database.ids.make(number))]
        return _enqueue_many(database, tasks, now)
    except (OverflowError, UnicodeEncodeError):
        for task in tasks:
            check_new(task)
        raise


def unique_key(name: str, key: str) -> str:
    """Return the key as the database has it: a key belongs to a function."""
    return f"{name}\n{key}"


def _row(task: NewTask, number: int, kind: int, now: int) -> tuple[object, ...]:
    return (
        number,
        kind,
        1 if task.run_after > now else 0,
        task.priority,
        task.run_after,
        task.expires,
        now,
        task.arguments,
        None if task.unique is None else unique_key(task.name, task.unique),
        1 if task.redeliver else 0,
        task.overrides or None,
        task.tick or None,
        None if task.result_ttl == USUAL_TTL else task.result_ttl,
    )


def _is_plain(task: NewTask) -> bool:
    return (
        not task.priority
        and not task.run_after
        and not task.expires
        and task.redeliver
        and not task.overrides
        and task.result_ttl == USUAL_TTL
    )


def _enqueue_one(database: Database, task: NewTask, now: int) -> int:
    """Store a task, and return its sequence number. Return 0 if its function is not in the database yet."""
    # One statement is one transaction: this is faster than `Writing`.
    gate = database.enter()
    try:
        kind = database.kinds.numbers.get((task.name, task.target))
        if kind is None:
            return 0
        database.check_before()
        number = database.numbers(1)
        if _is_plain(task):
            database.writer.execute(_INSERT_PLAIN, (number, kind, now, task.arguments))
        else:
            database.writer.execute(_INSERT, _row(task, number, kind, now))
        database.check_after()
        database.identity.numbers[identity.COMMITTED] = number
    except sqlite3.Error as error:
        raise store_error(error, database.directory, "enqueue") from error
    finally:
        gate.__exit__(None, None, None)
    return number


def _enqueue_many(database: Database, tasks: Sequence[NewTask], now: int) -> list[Stored]:
    with database.write("enqueue") as writing:
        make = database.ids.make
        if all(task.unique is None and not task.tick for task in tasks):
            return [Stored(make(number)) for number in _insert_all(database, writing, tasks, now)]
        answers = _insert_new(database, writing, tasks, now)
    return [Stored(make(number), is_new) for number, is_new in answers]


def _insert_all(database: Database, writing: Writing, tasks: Sequence[NewTask], now: int) -> Sequence[int]:
    """Insert tasks that have no key, and return their numbers."""
    first = database.numbers(len(tasks))
    pairs = {(task.name, task.target) for task in tasks}
    kinds = {pair: database.kinds.number(writing.connection, *pair) for pair in pairs}
    numbered = zip(range(first, first + len(tasks)), tasks, strict=True)
    if all(map(_is_plain, tasks)):
        plain = [(number, kinds[task.name, task.target], now, task.arguments) for number, task in numbered]
        writing.connection.executemany(_INSERT_PLAIN, plain)
    else:
        rows = [_row(task, number, kinds[task.name, task.target], now) for number, task in numbered]
        writing.connection.executemany(_INSERT, rows)
    writing.last_number = first + len(tasks) - 1
    return range(first, first + len(tasks))


def _insert_new(database: Database, writing: Writing, tasks: Sequence[NewTask], now: int) -> list[tuple[int, bool]]:
    """Insert the tasks whose keys no other task has. Return (number, is new) for each."""
    answers: list[tuple[int, bool]] = []
    rows: list[tuple[object, ...]] = []
    added: dict[str, int] = {}
    number = database.numbers(len(tasks))
    for task in tasks:
        keys = _keys(task)
        holder = next((found for key in keys if (found := added.get(key) or _holder(database, writing, key))), 0)
        if holder:
            answers.append((holder, False))
            continue
        added.update(dict.fromkeys(keys, number))
        kind = database.kinds.number(writing.connection, task.name, task.target)
        rows.append(_row(task, number, kind, now))
        answers.append((number, True))
        number += 1
    if rows:
        writing.connection.executemany(_INSERT, rows)
        writing.last_number = number - 1
    return answers


def _keys(task: NewTask) -> tuple[str, ...]:
    """Return what no other task may have: its key while it waits or runs, its tick (after a NUL) while it exists."""
    if task.unique is None and not task.tick:
        return ()
    keys = () if task.unique is None else (unique_key(task.name, task.unique),)
    return (*keys, f"\0{task.tick}") if task.tick else keys


def _holder(database: Database, writing: Writing, key: str) -> int | None:
    """Return the task that has this key or tick. One that has ended, but is not written yet, is written now."""
    connection = writing.connection
    if key.startswith("\0"):
        rows = connection.execute("SELECT number FROM task WHERE tick = ? AND tick IS NOT NULL", (key[1:],)).fetchall()
        return rows[0][0] if rows else None
    for number, state, owner, token in connection.execute(_HOLDER, (key,)).fetchall():
        if state == RUNNING and write_if_done(writing, database.owners.page(owner), number, token):
            return _holder(database, writing, key)  # an attempt that failed may have left it waiting
        found: int = number
        return found
    return None
