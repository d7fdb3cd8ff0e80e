"""The time from a failed attempt to the next one."""

from __future__ import annotations

_JITTER = 0.1
"""Share of a delay that is random, so that tasks that failed together are not repeated together."""

_MAX_DOUBLINGS = 1000
"""The number of doublings that a float takes. Every `max_backoff` is reached before."""


def backoff_delay(attempt: int, backoff: float, max_backoff: float, random: float) -> float:
    """Return the seconds from the end of an attempt to the next one.

    The delay is `backoff` after the first attempt, and doubles each time. It never exceeds `max_backoff`.

    Args:
        attempt: Number of the attempt that failed, counted from 1.
        backoff: Seconds.
        max_backoff: Seconds.
        random: A number from 0 to 1.
    """
    delay = backoff * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
    if delay >= max_backoff:
        return max_backoff * (1.0 - _JITTER * random)
    return min(delay * (1.0 + _JITTER * random), max_backoff)
