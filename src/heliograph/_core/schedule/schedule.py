"""Due times for any number of timers and cron rules. A schedule reads no clock: each call gets the time.

Rules
    A timer fires at a fixed rate, at start + k x period, however late the host asks. A cron rule fires once in each
    matching minute of the wall clock.
    If runs were passed over (the host was late, the machine was suspended), one run makes up for them and the others
    count as missed. With `coalesce=False` all of them run. A run later than `misfire_grace` counts as missed. A delay
    by jitter is not lateness.
    After a clock change of more than three hours the new time holds immediately, as in Debian's cron. After a smaller
    change, skipped runs are made up for. If the clock is set back, a rule with fixed times repeats no run, and a rule
    that follows elapsed time goes on with the new time, as in Debian's cron (`cron.c`, the negative time jump).
    A new set of triggers (a reload) continues each trigger that has the same name and times, even if it now sends
    another signal: its fixed rate, its counts, and whether it has ended.

How it works
    There are three heaps of (due, serial, name): of timers, of cron rules, and of wake-ups for tasks. An entry that was
    removed or moved leaves a stale item behind. The schedule drops it when it comes up, or when stale items outnumber
    the others.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count, islice
from operator import itemgetter
from typing import NamedTuple

from heliograph._core.schedule.cron_fields import follows_elapsed_time
from heliograph._core.schedule.entries import Entry
from heliograph.models import At, CronRule, Timer, Trigger

CLOCK_JUMP = 3 * 3600.0
"""Seconds. A larger change of the wall clock is a correction."""
CLOCK_SET_BACK = 60.0
"""Seconds. If the clock is set back by less, no rule repeats a minute."""
CLOCK_CHECK_INTERVAL = 2.0
"""Seconds between two checks of the clocks while there are timers or cron rules. The wall clock may have been set, and
after a suspend the host's own clock, which stood still, is behind."""
MAX_CATCH_UP_RUNS = 1000
"""Runs that are made up for at a time with `coalesce=False`. The runs beyond that count as missed."""
MAX_STALE_ITEMS = 64
"""Stale items that a heap may have in addition to the number of triggers."""

_NO_RUNS: Mapping[str, float] = {}

NextFire = Callable[[CronRule, float], float]
"""Returns the next time (seconds since 1970) after the given time at which a rule fires."""

CountFires = Callable[[CronRule, float, float], int]
"""Returns how often a rule fires after the first time and until the second (included), in seconds since 1970."""


class ClockReading(NamedTuple):
    """A time on both clocks, in seconds. `monotonic` never decreases. `wall` counts from 1970 and may be set."""

    monotonic: float
    wall: float


class Firing(NamedTuple):
    """A trigger that is due, and how many times to send its signal."""

    trigger: Trigger
    times: int


@dataclass(slots=True)
class Schedule:
    """All triggers of a server. `random()` returns numbers from 0 to 1, for jitter."""

    next_fire: NextFire
    random: Callable[[], float]
    clock_check_interval: float = CLOCK_CHECK_INTERVAL
    wakeup_check_interval: float = CLOCK_CHECK_INTERVAL
    """Seconds between two checks of the clocks if there are wake-ups only."""
    count_fires: CountFires | None = None
    """None: walk from run to run with `next_fire`."""
    _entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _timers: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    _rules: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    _wakeups: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    _serial: int = 0
    _offset: float | None = None

    def replace_all(
        self, triggers: Iterable[Trigger], now: ClockReading, last_runs: Mapping[str, float] = _NO_RUNS
    ) -> None:
        """Replace all triggers by these. A trigger with the name and the times of an existing one continues it.

        `last_runs` has the last runs of cron rules, in wall time. A new rule with a `misfire_grace` catches up on the
        runs since then.
        """
        before = self._entries
        self._entries = {name: entry for name, entry in before.items() if isinstance(entry.trigger.spec, At)}
        for trigger in triggers:
            known = before.get(trigger.name)
            if known is not None and known.trigger.spec == trigger.spec:
                known.trigger = trigger
                self._entries[trigger.name] = known
            else:
                self.add(trigger, now, last_runs.get(trigger.name))

    def add(self, trigger: Trigger, now: ClockReading, last_run: float | None = None) -> None:
        """Add a trigger. It replaces one of the same name."""
        if self._offset is None:
            self._offset = now.wall - now.monotonic
        entry = Entry(trigger, now.monotonic, tick=1)
        self._entries[trigger.name] = entry
        since = now.wall if last_run is None or trigger.misfire_grace is None else min(last_run, now.wall)
        self._plan(entry, since)

    def wake_at(self, name: str, num: int, when: float, now: ClockReading) -> float:
        """Send `num` once when the wall clock reaches `when`. Return the time at which it will be sent.

        The earliest time that was asked for under this name, and that has not come yet, wins.
        """
        known = self._entries.get(name)
        if known is None or not known.due <= when:
            self.add(Trigger(num, At(when), name, coalesce=False), now)
        return self._entries[name].due

    def remove(self, name: str) -> bool:
        """Remove a trigger. Return False if there is none of that name."""
        return self._entries.pop(name, None) is not None

    def change_period(self, name: str, period: float, now: ClockReading) -> bool:
        """Give a timer another period, counted from now. Return False if there is no such timer.

        The runs that a repeating timer already had still count.
        """
        entry = self._entries.get(name)
        if entry is None or not isinstance(entry.trigger.spec, Timer):
            return False
        entry.trigger = replace(entry.trigger, spec=replace(entry.trigger.spec, period=period))
        entry.runs_before_change += entry.tick - 1
        entry.start, entry.tick = now.monotonic, 1
        self._plan(entry, now.wall)
        return True

    def replan_rules(self, now: ClockReading) -> None:
        """Look up the next runs of the cron rules again, since zones may have changed. Runs that are due stay."""
        for entry in self._entries.values():
            rule = entry.trigger.spec
            if isinstance(rule, CronRule) and entry.due > now.wall:
                since = max(entry.since, now.wall)
                if self.next_fire(rule, since) != entry.due:
                    self._plan(entry, since)

    def entries(self) -> tuple[Entry, ...]:
        """Return all triggers of the application with their state."""
        return tuple(entry for entry in self._entries.values() if not isinstance(entry.trigger.spec, At))

    def entry(self, name: str) -> Entry | None:
        """Return the trigger of that name with its state."""
        return self._entries.get(name)

    def count_missed(self, name: str, times: int = 1, at: float | None = None) -> None:
        """Count runs as missed, not as fired, because their signals were not sent.

        `at`: the wall time, if nothing makes up for the run, such as an earlier one that is still queued.
        """
        entry = self._entries.get(name)
        if entry is not None:
            entry.fired -= times
            entry.missed += times
            entry.last_missed = entry.last_missed if at is None else at

    def note_sent(self, name: str, at: float) -> None:
        """Note that the signal of a trigger was sent at that wall time."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.last, entry.last_missed = at, None

    def wait(self, now: ClockReading) -> float:
        """Return the seconds until the next call of `due`. Infinite if there is nothing to wait for."""
        self._drop_stale()
        wait = self._timers[0][0] - now.monotonic if self._timers else math.inf
        if self._rules:
            wait = min(wait, self._rules[0][0] - now.wall)
        if wait < math.inf:
            wait = min(wait, self.clock_check_interval)
        if self._wakeups:
            wait = min(wait, self._wakeups[0][0] - now.wall, self.wakeup_check_interval)
        return max(0.0, wait)

    @property
    def next_wakeup(self) -> float:
        """The wall time of the next wake-up for tasks. Infinite if there is none."""
        self._drop_stale()
        return self._wakeups[0][0] if self._wakeups else math.inf

    def due(self, now: ClockReading) -> list[Firing]:
        """Return the triggers that fire now, each at most once, and plan their next runs."""
        self._check_clock(now)
        found: list[Firing] = []
        for heap, time in ((self._timers, now.monotonic), (self._rules, now.wall), (self._wakeups, now.wall)):
            while heap and heap[0][0] <= time:
                _, serial, name = heapq.heappop(heap)
                entry = self._entries.get(name)
                if entry is None or entry.serial != serial:
                    continue
                times = self._run(entry, now)
                entry.fired += times
                if times:
                    found.append(Firing(entry.trigger, times))
                else:
                    entry.last_missed = now.wall
        return found

    def upcoming(self, most: int, now: ClockReading) -> list[tuple[float, Trigger]]:
        """Return the next `most` runs of all triggers, soonest first, in wall time and without jitter."""
        offset = now.wall - now.monotonic
        ahead = [(_first_of(entry, offset), number, entry) for number, entry in enumerate(self.entries())]
        soonest = heapq.nsmallest(most, (item for item in ahead if item[0] < math.inf))
        runs = heapq.merge(*(self._runs_of(entry, offset) for _, _, entry in soonest), key=itemgetter(0))
        return list(islice(runs, max(0, most)))

    # within

    def _plan(self, entry: Entry, wall: float) -> None:
        """Put the next run of an entry on its heap."""
        self._serial += 1
        entry.serial = self._serial
        what = entry.trigger.spec
        if isinstance(what, Timer):
            ended = what.repeat and entry.runs_before_change + entry.tick > what.repeat
            entry.due = math.inf if ended else entry.start + entry.tick * what.period
            heap = self._timers
        elif isinstance(what, CronRule):
            entry.since, entry.due = wall, self.next_fire(what, wall)
            heap = self._rules
        elif isinstance(what, At):
            entry.due = what.when
            heap = self._wakeups
        else:
            return
        if entry.due < math.inf:
            entry.delay = self.random() * entry.trigger.jitter
            heapq.heappush(heap, (entry.due + entry.delay, entry.serial, entry.trigger.name))
            if len(heap) > 2 * len(self._entries) + MAX_STALE_ITEMS:
                heap[:] = filter(self._is_current, heap)
                heapq.heapify(heap)

    def _run(self, entry: Entry, now: ClockReading) -> int:
        """Plan the next run of an entry that is due. Return how often it fires now."""
        if isinstance(entry.trigger.spec, At):
            entry.due = math.inf  # it stays, since its run may be deferred
            return 1
        return self._run_timer(entry, now) if isinstance(entry.trigger.spec, Timer) else self._run_rule(entry, now)

    def _run_timer(self, entry: Entry, now: ClockReading) -> int:
        what = entry.trigger.spec
        assert isinstance(what, Timer)
        last = max(entry.tick, _tick_until(entry, what.period, now.monotonic))
        if what.repeat:
            last = min(last, what.repeat - entry.runs_before_change)
        first = entry.tick
        if entry.trigger.misfire_grace is not None:
            oldest = now.monotonic - entry.delay - entry.trigger.misfire_grace
            first = max(first, _tick_from(entry, what.period, oldest))
        times = self._times(entry, passed=last - entry.tick + 1, in_time=max(0, last - first + 1))
        entry.tick = last + 1
        self._plan(entry, now.wall)
        return times

    def _run_rule(self, entry: Entry, now: ClockReading) -> int:
        what, grace = entry.trigger.spec, entry.trigger.misfire_grace
        assert isinstance(what, CronRule)
        passed = in_time = 1 + self._count_fires(what, entry.due, now.wall)
        if grace is not None and entry.due < (oldest := now.wall - entry.delay - grace):
            in_time = self._count_fires(what, math.ceil(oldest) - 1, now.wall)
        times = self._times(entry, passed=max(passed, in_time), in_time=in_time)
        self._plan(entry, max(now.wall, entry.due))
        return times

    def _count_fires(self, rule: CronRule, after: float, until: float) -> int:
        """Return how many runs of a rule there are after `after` and until `until`."""
        if self.count_fires is not None:
            return self.count_fires(rule, after, until)
        runs = 0
        while (after := self.next_fire(rule, after)) <= until:
            runs += 1
        return runs

    def _times(self, entry: Entry, *, passed: int, in_time: int) -> int:
        """Return the number of due runs to send, and count the others as missed."""
        times = min(in_time, 1 if entry.trigger.coalesce else MAX_CATCH_UP_RUNS)
        entry.missed += passed - times
        return times

    def _check_clock(self, now: ClockReading) -> None:
        offset = now.wall - now.monotonic
        change = 0.0 if self._offset is None else offset - self._offset
        corrected = abs(change) > CLOCK_JUMP
        if corrected or change < -CLOCK_SET_BACK:
            for entry in self._entries.values():
                rule = entry.trigger.spec
                if isinstance(rule, CronRule) and (corrected or follows_elapsed_time(rule)):
                    self._plan(entry, now.wall)
        self._offset = offset

    def _is_current(self, item: tuple[float, int, str]) -> bool:
        entry = self._entries.get(item[2])
        return entry is not None and entry.serial == item[1]

    def _drop_stale(self) -> None:
        for heap in (self._timers, self._rules, self._wakeups):
            while heap and not self._is_current(heap[0]):
                heapq.heappop(heap)

    def _runs_of(self, entry: Entry, offset: float) -> Iterator[tuple[float, Trigger]]:
        what, due = entry.trigger.spec, entry.due
        if isinstance(what, Timer):
            end = what.repeat - entry.runs_before_change + 1 if what.repeat else math.inf
            for tick in count(entry.tick):
                due = entry.start + tick * what.period
                if tick >= end or due == math.inf:
                    return
                yield due + offset, entry.trigger
        elif isinstance(what, CronRule):
            while due < math.inf:
                yield due, entry.trigger
                due = self.next_fire(what, due)


def _first_of(entry: Entry, offset: float) -> float:
    """Return the next due time in wall time. Infinite if there is none, and for file monitors."""
    return entry.due + offset if isinstance(entry.trigger.spec, Timer) else entry.due


def _tick_until(entry: Entry, period: float, time: float) -> int:
    """Return the last k whose time is not after `time`. The quotient may be off by one, so the due times decide."""
    about = int((time - entry.start) / period)
    return next((k for k in (about + 1, about) if entry.start + k * period <= time), about - 1)


def _tick_from(entry: Entry, period: float, time: float) -> int:
    """Return the first k whose time is not before `time`."""
    about = math.ceil((time - entry.start) / period)
    return next((k for k in (about - 1, about) if entry.start + k * period >= time), about + 1)
