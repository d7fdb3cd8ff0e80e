"""Times and outcomes of attempts: collected by each process, and added to a table now and then."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping

from heliograph._core.tasks.timings import KEPT, TaskTimings, TimingWords
from heliograph.store.database import Database

INTERVAL = 1.0
"""Seconds between two additions to the table, while there is always something to run. The end of the process costs the
figures of so many seconds at most."""

SLOW = 500_000
"""Microseconds of an attempt whose figures are added with its outcome, if that has a transaction of its own."""


class TimingLog:
    """The attempts of this process that are not in the table yet."""

    def __init__(self) -> None:
        self._words: dict[str, TimingWords] = {}
        self._written_at = 0.0

    def of_function(self, name: str) -> TimingWords:
        """Return the words to which an attempt of a function is added."""
        words = self._words.get(name)
        if words is None:
            words = self._words[name] = TimingWords()
        return words

    @property
    def is_due(self) -> bool:
        """True if the last addition was an interval ago."""
        return time.monotonic() - self._written_at >= INTERVAL

    def write(self, connection: sqlite3.Connection, now: int) -> None:
        """Add them to the table in the open transaction. Call `clear` after its commit."""
        for name, words in self._words.items():
            rows = connection.execute("SELECT data FROM timing WHERE name = ?", (name,)).fetchall()
            total = words.plus(TimingWords(rows[0][0])) if rows else words
            connection.execute("INSERT OR REPLACE INTO timing VALUES (?, ?, ?)", (name, now, total.to_bytes()))

    def clear(self) -> None:
        """Forget what the table has."""
        self._words.clear()
        self._written_at = time.monotonic()


def read(database: Database) -> Mapping[str, TaskTimings]:
    """Return the timings of each function."""
    return {name: TimingWords(data).timings() for name, data in database.read("SELECT name, data FROM timing")}


def remove_old(connection: sqlite3.Connection, now: int) -> None:
    """Remove the timings of functions that have not run for long."""
    connection.execute("DELETE FROM timing WHERE last < ?", (now - KEPT,))
