"""The numbers of the last ten minutes, for rates and plots. They exist in the process of the page only."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from heliograph.insights.model import Distribution, ServerState

WINDOW = 600.0
"""Seconds that a plot shows."""
SIGNAL_STEP = 20.0
"""Seconds for which the plot of a signal has one point."""
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


@dataclass(frozen=True, slots=True)
class _Signals:
    """The number of handled signals by their number, at one moment."""

    at: float
    handled: dict[int, int]


class History:
    """Keeps totals of each reading."""

    def __init__(self) -> None:
        self._totals: deque[Totals] = deque()
        self._recent: deque[_Signals] = deque()
        """The last seconds, for rates."""
        self._steps: deque[_Signals] = deque()
        """The last reading of each SIGNAL_STEP, for plots of single signals: a large server has many of them."""

    def add(self, state: ServerState) -> None:
        """Take in a reading. A server that was started anew begins a new history."""
        found = _totals(state)
        if self._totals and (found.at < self._totals[-1].at or found.handled < self._totals[-1].handled):
            self._totals.clear()
            self._recent.clear()
            self._steps.clear()
        self._totals.append(found)
        signals = _Signals(found.at, {signal.num: signal.done for signal in state.signals})
        if self._steps and self._steps[-1].at // SIGNAL_STEP == found.at // SIGNAL_STEP and len(self._steps) > 1:
            self._steps.pop()
        self._steps.append(signals)
        self._recent.append(signals)
        for kept, span in ((self._totals, WINDOW), (self._steps, WINDOW), (self._recent, _RATE_SPAN)):
            while kept[0].at < found.at - span:
                kept.popleft()

    def signal_rate(self, num: int) -> float | None:
        """Return how many signals of a number were handled per second, of late. None: it is not known yet."""
        old, new = (self._recent[0], self._recent[-1]) if self._recent else (None, None)
        if old is None or new is None or new.at <= old.at:
            return None
        return max(new.handled.get(num, 0) - old.handled.get(num, 0), 0) / (new.at - old.at)

    def signal_points(self, num: int) -> tuple[float | None, ...]:
        """Return the mean rates of a signal in each SIGNAL_STEP, oldest first. None: nobody looked."""
        points: list[float | None] = [None] * int(WINDOW / SIGNAL_STEP)
        for old, new in pairwise(self._steps):
            if 0 < new.at - old.at <= 2 * SIGNAL_STEP:
                growth = max(new.handled.get(num, 0) - old.handled.get(num, 0), 0)
                points[self._step(new.at, SIGNAL_STEP)] = growth / (new.at - old.at)
        return tuple(points)

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
