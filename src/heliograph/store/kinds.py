"""The functions and targets of tasks, as numbers: each row has one instead of two texts."""

from __future__ import annotations

import sqlite3


class Kinds:
    """A cache of the table `kind`. It is cleared when a transaction is rolled back."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, str], int] = {}
        self._pairs: dict[int, tuple[str, str]] = {}

    def number(self, writer: sqlite3.Connection, name: str, target: str) -> int:
        """Return the number of a pair, and add it in the open transaction if it is new."""
        pair = name, target
        if pair not in self.numbers:
            writer.execute("INSERT OR IGNORE INTO kind (name, target) VALUES (?, ?)", pair)
            self._load(writer)
        return self.numbers[pair]

    def pair(self, connection: sqlite3.Connection, number: int) -> tuple[str, str]:
        """Return (name, target)."""
        if number not in self._pairs:
            self._load(connection)
        return self._pairs[number]

    def all(self, connection: sqlite3.Connection) -> dict[int, tuple[str, str]]:
        """Return all pairs by number."""
        self._load(connection)
        return self._pairs

    def clear(self) -> None:
        """Forget everything."""
        self.numbers, self._pairs = {}, {}

    def _load(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, name, target FROM kind").fetchall()
        self.numbers = {(name, target): number for number, name, target in rows}
        self._pairs = {number: (name, target) for number, name, target in rows}
