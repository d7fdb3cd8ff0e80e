"""Jumps of the system's clock."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.store import identity
from heliograph.store.database import Database
from heliograph.store.writing import Writing

_SLACK = 1_000_000
"""Microseconds by which the clocks of callers may differ."""

_JUMP = 60_000_000
"""Microseconds between the clock and the uptime that make a jump."""


def check(database: Database, writing: Writing, now: int) -> None:
    """Repair what a clock that was set back would let wait for too long: pauses before another attempt, and rates."""
    numbers = database.identity.numbers
    if now < numbers[identity.LAST_NOW] - _SLACK:
        connection = writing.connection
        connection.execute(
            "UPDATE task SET run_after = ? + run_after - ended, ended = ? WHERE state = 1 AND ended > ?",
            (now, now, now),
        )
        connection.execute(
            "INSERT INTO begun SELECT name, ?, sum(count) FROM begun WHERE at > ? GROUP BY name"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (now, now),
        )
        connection.execute("DELETE FROM begun WHERE at > ?", (now,))
    numbers[identity.LAST_NOW] = now


def cutoff(database: Database, now: int, ttl: int, uptime: Callable[[], int] | None) -> int:
    """Return the time before which tasks must have ended to be removed.

    A clock that is set ahead does not age what ended before.
    """
    numbers = database.identity.numbers
    if uptime is not None:
        offset = now - uptime()
        known = numbers[identity.OFFSET]
        if known and database.identity.is_same_boot and offset - known > _JUMP:
            numbers[identity.JUMPED_AT], numbers[identity.JUMP] = now, numbers[identity.JUMP] + offset - known
        numbers[identity.OFFSET] = offset
    limit = now - ttl
    if limit < numbers[identity.JUMPED_AT]:
        return limit - numbers[identity.JUMP]
    numbers[identity.JUMP] = 0
    return limit
