"""The state of a trigger in a schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from heliograph.models import Trigger


@dataclass(slots=True)
class Entry:
    """A trigger and its state. `due` is monotonic for a timer, wall time for a rule, infinite after the last run."""

    trigger: Trigger
    start: float
    due: float = math.inf
    delay: float = 0.0
    """Seconds of jitter of the next run."""
    tick: int = 0
    """Timers only: the k of the next run."""
    runs_before_change: int = 0
    """Of a timer: how many runs it had before its current period was set."""
    since: float = 0.0
    """Of a rule: the wall time from which the next run was looked up."""
    fired: int = 0
    missed: int = 0
    serial: int = 0
    last: float | None = None
    """Wall time at which its signal was last sent."""
    last_missed: float | None = None
    """Wall time of the last run that was missed, if its signal was not sent since."""
