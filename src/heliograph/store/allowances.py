"""Limits and rates of functions, within the transaction of a turn."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from heliograph._core.tasks.limits import UNLIMITED, Begun, allowance, held_by, refill_at
from heliograph._core.tasks.values import ClaimRequest, TaskLimits
from heliograph.store.kinds import Kinds

RECHECK = 1_000_000
"""Microseconds until a look at tasks that wait for attempts under another target."""


@dataclass(slots=True)
class Choice:
    """The result of looking at the rows."""

    rows: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    """The claimed tasks, in the order in which they are to run: sequence number, kind, and what a claim has."""

    more: bool = False
    next_at: int | None = None
    others: set[str] = field(default_factory=set[str])
    """Other targets that have waiting tasks."""

    held: dict[str, str] = field(default_factory=dict[str, str])
    expired: dict[str, int] = field(default_factory=dict[str, int])
    """Number of tasks of each function that have expired."""

    def later(self, at: int) -> None:
        """Note a time for another look."""
        self.next_at = at if self.next_at is None else min(at, self.next_at)


class Allowances:
    """Finds how many attempts may begin, and notes those that a rate has to count."""

    def __init__(self, connection: sqlite3.Connection, kinds: Kinds, request: ClaimRequest, choice: Choice) -> None:
        self._connection = connection
        self._kinds = kinds
        self._request = request
        self._choice = choice

    def find(self, due: list[int]) -> dict[str, int]:
        """Return how many attempts of each function may begin."""
        left: dict[str, int] = {}
        running: dict[str, dict[str, int]] | None = None
        for name, limits in self._limits(due).items():
            if not limits.limit and limits.rate is None:
                left[name] = UNLIMITED
                continue
            running = self._running() if running is None else running
            count = sum(running.get(name, {}).values())
            begun = self._begun(name, limits)
            left[name] = allowance(limits, count, begun, self._request.now)
            if not left[name]:
                self._choice.held[name] = held_by(limits, count, begun, self._request.now)
        return left

    def look_again(self, due: list[int]) -> None:
        """Note when a rate or the end of an attempt elsewhere lets one of these kinds run, after the claims."""
        now = self._request.now
        running: dict[str, dict[str, int]] | None = None
        for name, limits in self._limits(due).items():
            at = refill_at(limits.rate, self._begun(name, limits)) if limits.rate is not None else None
            if at is not None and at > now:
                self._choice.later(at)
            if limits.limit:
                running = self._running() if running is None else running
                if any(target != self._request.target for target in running.get(name, {})):
                    self._choice.later(now + RECHECK)

    def _limits(self, due: list[int]) -> dict[str, TaskLimits]:
        return {name: self._request.known[name] for name in map(self._name, due)}

    def _name(self, kind: int) -> str:
        return self._kinds.pair(self._connection, kind)[0]

    def _running(self) -> dict[str, dict[str, int]]:
        """Return the number of claimed tasks by function and target."""
        counts: dict[str, dict[str, int]] = {}
        for kind, count in self._connection.execute(
            "SELECT kind, count(*) FROM task WHERE state = 2 GROUP BY kind"
        ).fetchall():
            name, target = self._kinds.pair(self._connection, kind)
            counts.setdefault(name, {})[target] = count
        return counts

    def _begun(self, name: str, limits: TaskLimits) -> list[Begun]:
        if limits.rate is None:
            return []
        rows = self._connection.execute("SELECT at, count FROM begun WHERE name = ?", (name,))
        return [(at, count) for at, count in rows.fetchall()]

    def note(self) -> None:
        """Note the attempts of functions with a rate."""
        now = self._request.now
        for name, limits in self._request.known.items():
            if limits.rate is not None:
                count = sum(1 for _, kind, *_ in self._choice.rows if self._name(kind) == name)
                if count:
                    self._connection.execute(
                        "DELETE FROM begun WHERE name = ? AND at <= ?", (name, now - limits.rate.period)
                    )
                    self._connection.execute(
                        "INSERT INTO begun VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                        (name, now, count),
                    )
