"""The numbers of the last ten minutes, for rates and plots. They exist in the process of the page only."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from heliograph.insights.model import Distribution, ServerState

WINDOW = 600.0
"""Seconds that a plot shows."""
_RATE_SPAN = 5.0
"""Seconds over which a rate is the mean."""
_GAP = 5.0
"""Seconds without a reading after which a line has a gap."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The counters of a server at one moment."""

    at: float
    sent: int
    handled: int
    failed: int
    queued: int
    tasks_finished: int
    tasks_waiting: int
    waited: Counter[float]
    """Upper bound of a bucket -> number of durations."""
    ran: Counter[float]
    signals: dict[int, int]
    """Number of a signal -> how many were handled."""


class History:
    """Keeps totals of each reading."""

    def __init__(self) -> None:
        self._totals: deque[Totals] = deque()

    def add(self, state: ServerState) -> None:
        """Take in a reading. A server that was started anew begins a new history."""
        found = _totals(state)
        if self._totals and (found.at < self._totals[-1].at or found.handled < self._totals[-1].handled):
            self._totals.clear()
        self._totals.append(found)
        while self._totals[0].at < found.at - WINDOW:
            self._totals.popleft()

    def signal_rate(self, num: int) -> float | None:
        """Return how many signals of a number were handled per second, of late. None: it is not known yet."""
        pair = self._last_pair()
        if pair is None:
            return None
        old, new = pair
        return max(new.signals.get(num, 0) - old.signals.get(num, 0), 0) / (new.at - old.at)

    def signal_points(self, num: int, width: float) -> tuple[float | None, ...]:
        """Return the mean rates of a signal in steps of `width` seconds, oldest first. None: nobody looked."""
        return self._binned(lambda old, new: new.signals.get(num, 0) - old.signals.get(num, 0), width)

    def rates(self, value: Callable[[Totals], int], width: float) -> tuple[float | None, ...]:
        """Return the mean growth of a counter per second, in steps of `width` seconds."""
        return self._binned(lambda old, new: value(new) - value(old), width)

    def levels(self, value: Callable[[Totals], float], width: float) -> tuple[float | None, ...]:
        """Return the highest value in each step."""
        found: dict[int, float] = {}
        for totals in self._totals:
            step = self._step(totals.at, width)
            found[step] = max(found.get(step, 0.0), value(totals))
        return tuple(found.get(step) for step in range(int(WINDOW / width)))

    def percentiles(
        self, value: Callable[[Totals], Counter[float]], share: float, width: float
    ) -> tuple[float | None, ...]:
        """Return a percentile of the durations in each step, 0.95 for instance. None: there was none."""
        groups: dict[int, tuple[Totals, Totals]] = {}
        for old, new in self._pairs():
            step = self._step(new.at, width)
            groups[step] = (groups[step][0] if step in groups else old, new)
        return tuple(
            _percentile(value(groups[step][1]) - value(groups[step][0]), share) if step in groups else None
            for step in range(int(WINDOW / width))
        )

    def _binned(self, growth: Callable[[Totals, Totals], float], width: float) -> tuple[float | None, ...]:
        sums: dict[int, list[float]] = {}
        for old, new in self._pairs():
            found = sums.setdefault(self._step(new.at, width), [0.0, 0.0])
            found[0] += max(growth(old, new), 0.0)
            found[1] += new.at - old.at
        return tuple(
            sums[step][0] / sums[step][1] if step in sums and sums[step][1] else None
            for step in range(int(WINDOW / width))
        )

    def _pairs(self) -> Iterable[tuple[Totals, Totals]]:
        found = list(self._totals)
        return [(old, new) for old, new in pairwise(found) if 0 < new.at - old.at <= _GAP]

    def _step(self, at: float, width: float) -> int:
        """Return the step of a moment. Steps stay at fixed moments, so that a line does not flicker."""
        last = self._totals[-1].at // width
        return int(WINDOW / width) - 1 - int(last - at // width)

    def _last_pair(self) -> tuple[Totals, Totals] | None:
        if len(self._totals) < 2:
            return None
        new = self._totals[-1]
        old = next(totals for totals in self._totals if totals.at >= new.at - _RATE_SPAN or totals is self._totals[-2])
        return (old, new) if new.at > old.at else None


def _totals(state: ServerState) -> Totals:
    signals = state.signals
    counts: Counter[str] = Counter()
    for task in state.store.tasks if state.store else ():
        counts.update(task.counts)
    return Totals(
        at=state.looked_at,
        sent=sum(signal.sent for signal in signals),
        handled=sum(signal.done for signal in signals),
        failed=sum(signal.failed for signal in signals),
        queued=sum(signal.queued for signal in signals),
        tasks_finished=counts["SUCCESSFUL"] + counts["FAILED"] + counts["DEAD"],
        tasks_waiting=counts["READY"],
        waited=_buckets(signal.waited for signal in signals),
        ran=_buckets(signal.ran for signal in signals),
        signals={signal.num: signal.done for signal in signals},
    )


def _buckets(found: Iterable[Distribution]) -> Counter[float]:
    buckets: Counter[float] = Counter()
    for distribution in found:
        for bound, number in distribution.buckets:
            buckets[bound] += number
    return buckets


def _percentile(buckets: Counter[float], share: float) -> float | None:
    total, passed = sum(buckets.values()), 0
    for bound, number in sorted(buckets.items()):
        passed += number
        if total and passed >= total * share:
            return bound
    return None
