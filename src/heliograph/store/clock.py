"""Jumps of the system's clock."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph._core.tasks.life import LARGE_JUMP, SLACK
from heliograph.store import identity
from heliograph.store.database import Database
from heliograph.store.writing import Writing


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump ahead of the clock, in microseconds. `at` is the time just after it."""

    at: int
    size: int


def check(database: Database, writing: Writing, now: int) -> None:
    """Repair what a clock that was set back would let wait for too long."""
    last_jump(database, now)  # before anything that is repaired here can be removed
    numbers = database.identity.numbers
    back = numbers[identity.LAST_NOW] - now
    numbers[identity.LAST_NOW] = now
    if back <= SLACK:
        return
    connection = writing.connection
    connection.execute(  # pauses before another attempt
        "UPDATE task SET run_after = ? + run_after - ended, ended = ? WHERE state = 1 AND ended > ?", (now, now, now)
    )
    connection.execute(
        "INSERT INTO begun SELECT name, ?, sum(count) FROM begun WHERE at > ? GROUP BY name"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        (now, now),
    )
    connection.execute("DELETE FROM begun WHERE at > ?", (now,))
    if back > LARGE_JUMP:
        connection.execute("UPDATE task SET ended = ? WHERE state > 2 AND ended > ?", (now, now))


def last_jump(database: Database, now: int) -> Jump:
    """Return by how much the clock was set ahead. What ended before that has not become older by it.

    `Database.uptime` is a clock that cannot be set. Without it, no jump is noticed. The caller holds the gate.
    """
    numbers = database.identity.numbers
    uptime = database.uptime
    if uptime is not None:
        offset = now - uptime()
        jump = offset - numbers[identity.OFFSET] if numbers[identity.OFFSET] else 0
        if jump > LARGE_JUMP:
            numbers[identity.JUMPED_AT], numbers[identity.JUMP] = now, numbers[identity.JUMP] + jump
        elif jump < -LARGE_JUMP:
            numbers[identity.JUMP] = 0
        numbers[identity.OFFSET] = offset
    return Jump(numbers[identity.JUMPED_AT], numbers[identity.JUMP])
