"""Numbers of attempts that may begin: by the limit and by the rate of a function, over all processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heliograph._core.tasks.values import Rate, TaskLimits

UNLIMITED = 1 << 30

LIMIT, RATE = "limit", "rate"
"""The reasons for which no attempt of a function may begin."""

NO_LIMITS: Mapping[str, TaskLimits] = {}

Begun = tuple[int, int]
"""A time, and the number of attempts that began at it."""


def allowance(limits: TaskLimits, running: int, begun: Iterable[Begun], now: int) -> int:
    """Return how many attempts of a function may begin now.

    A function with a limit gets one at a time, so that each process that comes may take the next one.
    """
    free = UNLIMITED
    if limits.limit:
        free = min(1, max(0, limits.limit - running))
    if limits.rate is not None:
        used = sum(count for at, count in begun if at > now - limits.rate.period)
        free = min(free, max(0, limits.rate.count - used))
    return free


def held_by(limits: TaskLimits, running: int, begun: Iterable[Begun], now: int) -> str:
    """Return what holds attempts of a function back: `LIMIT`, `RATE`, or an empty text."""
    if limits.limit and running >= limits.limit:
        return LIMIT
    return "" if allowance(limits, running, begun, now) else RATE


def refill_at(rate: Rate, begun: Sequence[Begun]) -> int | None:
    """Return when the rate allows the next attempt, if it allows none now. None: it was never used."""
    used = 0
    for at, count in sorted(begun, reverse=True):
        used += count
        if used >= rate.count:
            return at + rate.period
    return None
