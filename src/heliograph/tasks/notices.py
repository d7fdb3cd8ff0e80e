"""Log lines about tasks that a limit, a rate or `expires` keeps from running: one a minute for each function."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from heliograph._core.tasks.limits import LIMIT
from heliograph._core.tasks.values import Batch, TaskLimits
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.models import MICROSECONDS
from heliograph.tasks.registry import TASKS

_LOG = tolerant_logger("heliograph.tasks")

INTERVAL = 60.0
"""Seconds between two lines about a function, in each process."""


class Notices:
    """The lines of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._expired: Counter[str] = Counter()

    def note(self, batch: Batch) -> None:
        """Log what a turn has held back, and what has expired."""
        self._expired.update(batch.expired)
        for name in list(self._expired):
            if self._may_log(name):
                _LOG.info("Tasks of %s expired before they could begin (number: %d)", name, self._expired.pop(name))
        for name, reason in batch.held.items():
            if self._may_log(name):
                _LOG.info("Holding back tasks of %s: %s", name, _reason(reason, TASKS.limits.get(name, TaskLimits())))

    def _may_log(self, name: str) -> bool:
        now = self._clock()
        if not _LOG.isEnabledFor(logging.INFO) or now - self._last.get(name, -INTERVAL) < INTERVAL:
            return False
        self._last[name] = now
        return True


def _reason(reason: str, limits: TaskLimits) -> str:
    if reason == LIMIT or limits.rate is None:
        return f"as many run as its limit allows ({limits.limit})"
    return f"as many have begun as its rate allows ({limits.rate.count} in {limits.rate.period / MICROSECONDS:g} s)"
