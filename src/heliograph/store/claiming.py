"""Choosing the tasks that a process may run now, within the transaction of its turn."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from heliograph._core.tasks.values import Claim, ClaimRequest
from heliograph.store.allowances import Allowances, Choice
from heliograph.store.database import Database
from heliograph.store.owner_page import MAX_BATCH
from heliograph.store.writing import Writing

_PROMOTED = 1000
"""Number of tasks that one turn lets become due, at most."""


def _heads(state: str, value: str) -> str:
    """Return a statement that jumps from kind to kind of an index, and gives (kind, value) for each that has rows."""
    return (
        f"WITH RECURSIVE k(kind) AS (SELECT min(kind) FROM task WHERE {state} UNION ALL"
        f" SELECT (SELECT min(kind) FROM task WHERE {state} AND kind > k.kind) FROM k WHERE k.kind IS NOT NULL)"
        f" SELECT kind, {value} FROM k WHERE kind IS NOT NULL"
    )


_PRESENT = (
    "SELECT EXISTS (SELECT 1 FROM paused), EXISTS (SELECT 1 FROM task WHERE state = 1),"
    " EXISTS (SELECT 1 FROM task WHERE state < 2 AND expires > 0), EXISTS (SELECT 1 FROM task WHERE state = 2)"
)

_DUE = _heads("state = 0", "0")
_DEFERRED = _heads("state = 1", "(SELECT min(run_after) FROM task WHERE state = 1 AND kind = k.kind)")
_EXPIRES = _heads(
    "state < 2 AND expires > 0", "(SELECT min(expires) FROM task WHERE state < 2 AND expires > 0 AND kind = k.kind)"
)
_CANDIDATES = "SELECT priority, number FROM task WHERE state = 0 AND kind = ? ORDER BY priority DESC, number LIMIT ?"
_PROMOTE = (
    "UPDATE task SET state = 0 WHERE number IN"
    " (SELECT number FROM task WHERE state = 1 AND kind = ? AND run_after <= ? LIMIT ?)"
)
_EXPIRE = (
    "UPDATE task SET state = 7, ended = ? WHERE number IN (SELECT number FROM task"
    " WHERE state < 2 AND expires > 0 AND kind = ? AND expires <= ? LIMIT ?) AND state < 2 RETURNING number"
)
_CLAIM = (
    "UPDATE task SET state = 2, owner = ?, token = ?, attempts = attempts + 1, progress = NULL,"
    " first = CASE first WHEN 0 THEN ? ELSE first END, last = ?,"
    " workers = CASE WHEN workers IS NULL THEN ? ELSE workers || char(10) || ? END"
    " WHERE number IN ({}) AND state = 0 AND (expires = 0 OR expires > ?)"
    " RETURNING number, kind, arguments, attempts,"
    " enqueued, first, priority, run_after, redeliver, overrides, key, expires"
)
_CLAIMS = {count: _CLAIM.format(", ".join("?" * count)) for count in (1, 4, MAX_BATCH)}
"""The statement for so many numbers at most. SQLite looks at each, and an idle server claims one."""


class Present(NamedTuple):
    """The kinds of rows that the database has. Most turns have to look at none of them."""

    paused: int
    deferred: int
    expiring: int
    running: int


def present(writing: Writing) -> Present:
    """Return the kinds of rows that the database has now."""
    return Present(*writing.connection.execute(_PRESENT).fetchall()[0])


class Chooser:
    """Chooses for one request."""

    def __init__(self, database: Database, writing: Writing, request: ClaimRequest, found: Present) -> None:
        self._present = found
        self._database = database
        self._writing = writing
        self._connection: sqlite3.Connection = writing.connection
        self._request = request
        self._kinds = database.kinds
        self.choice = Choice()
        self._names: dict[int, str] = {}
        """The functions of the claimed tasks. Looking for them later would read the database outside of the gate."""

    def choose(self, owner: int) -> Choice:
        """Claim tasks for an owner."""
        paused: set[str] = set()
        if self._present.paused:
            paused = {name for (name,) in self._connection.execute("SELECT name FROM paused").fetchall()}
        if self._present.expiring:
            self._expire()
        if self._present.deferred:
            self._promote(paused)
        allowances = Allowances(self._connection, self._kinds, self._request, self.choice)
        due = self._due(paused)
        numbers = self._pick(due, allowances.find(due))
        if numbers:
            self._claim(owner, numbers)
            allowances.note()
        if any(limits.limit or limits.rate for limits in self._request.known.values()):
            allowances.look_again(self._due(paused))
        if self._present.expiring:
            self._look_at_expiry()
        return self.choice

    def _look_at_expiry(self) -> None:
        for kind, expires in self._connection.execute(_EXPIRES).fetchall():
            if self._is_of_target(kind):
                self.choice.later(expires)

    def _due(self, paused: set[str]) -> list[int]:
        return [kind for kind, _ in self._connection.execute(_DUE).fetchall() if self._is_wanted(kind, paused)]

    def _pick(self, due: list[int], left: dict[str, int]) -> list[int]:
        """Return the numbers of the tasks to claim, in the order in which they are to run."""
        limit = max(0, min(self._request.limit, MAX_BATCH))
        found: list[tuple[int, int, int]] = []
        for kind in due:
            free = left[self._name(kind)]
            if free:
                rows = self._connection.execute(_CANDIDATES, (kind, min(free, limit) + 1)).fetchall()
                found += [(-priority, number, kind) for priority, number in rows]
        found.sort()
        numbers: list[int] = []
        last = ""
        for _, number, kind in found:
            name = self._name(kind)
            if not left[name]:
                continue
            if len(numbers) >= limit or last in self._request.slow:
                self.choice.more = True
                break
            left[name] -= 1
            last = name
            numbers.append(number)
        return numbers

    def _name(self, kind: int) -> str:
        return self._kinds.pair(self._connection, kind)[0]

    def _is_wanted(self, kind: int, paused: set[str]) -> bool:
        name, target = self._kinds.pair(self._connection, kind)
        request = self._request
        if target != request.target:
            self.choice.others.add(target)
            return False
        return name in request.known and name not in paused and target not in paused

    def _is_of_target(self, kind: int) -> bool:
        return self._kinds.pair(self._connection, kind)[1] == self._request.target

    def _expire(self) -> None:
        now = self._request.now
        for kind, expires in self._connection.execute(_EXPIRES).fetchall():
            if expires <= now and self._is_of_target(kind):
                rows = self._connection.execute(_EXPIRE, (now, kind, now, _PROMOTED)).fetchall()
                self._writing.ended += [number for (number,) in rows]
                name = self._name(kind)
                self.choice.expired[name] = self.choice.expired.get(name, 0) + len(rows)

    def _promote(self, paused: set[str]) -> None:
        """Let the tasks become due whose time has come."""
        now = self._request.now
        for kind, at in self._connection.execute(_DEFERRED).fetchall():
            if not self._is_wanted(kind, paused):
                continue
            if at <= now:
                self._connection.execute(_PROMOTE, (kind, now, _PROMOTED))
                sql = "SELECT min(run_after) FROM task WHERE state = 1 AND kind = ?"
                [(at,)] = self._connection.execute(sql, (kind,)).fetchall()  # noqa: PLW2901
            if at is not None:
                self.choice.later(at)

    def _claim(self, owner: int, numbers: list[int]) -> None:
        request, token = self._request, self._writing.token
        worker = request.worker
        places = next(count for count in _CLAIMS if count >= len(numbers))
        padded = numbers + [0] * (places - len(numbers))
        rows = self._connection.execute(
            _CLAIMS[places], (owner, token, request.now, request.now, worker, worker, *padded, request.now)
        ).fetchall()
        claimed = {row[0]: row for row in rows}  # RETURNING has an order of its own
        if len(claimed) < len(numbers):
            self.choice.more = True  # So many have expired that this turn could not write it of all.
        self.choice.rows = [claimed[number] for number in numbers if number in claimed]
        self._names = {kind: self._name(kind) for kind in {row[1] for row in rows}}

    def claims(self) -> list[Claim]:
        """Return the claims, after the transaction: making them takes half as long as the statement that claims."""
        return [self._claim_of(row) for row in self.choice.rows]

    def _claim_of(self, row: tuple[Any, ...]) -> Claim:
        number, kind, arguments, attempts, enqueued, first, priority, run_after, redeliver, overrides, key, expires = (
            row
        )
        return Claim(
            self._database.ids.make(number),
            self._writing.token,
            self._names[kind],
            arguments,
            attempts,
            enqueued,
            first,
            priority,
            run_after,
            bool(redeliver),
            overrides or b"",
            key if key is None else key.partition("\n")[2],
            expires,
        )
