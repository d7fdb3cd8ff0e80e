"""Checks of durations that an application passes."""

from __future__ import annotations

import math
import numbers


def check_seconds(name: str, seconds: object, most: float = math.inf) -> float:
    """Return a number of seconds, from 0 to `most`, as a float.

    Raises:
        ValueError: It is not such a number. A `timedelta` is none, and neither is `True`.
    """
    if not isinstance(seconds, bool) and isinstance(seconds, numbers.Real):
        try:
            number = float(seconds)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf if seconds == abs(seconds) else -math.inf
        if 0 <= number <= most:
            return number
    raise ValueError(f"invalid {name}: {seconds!r}. Pass seconds, 0 or more.")
