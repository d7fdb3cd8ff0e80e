"""When sources fire: deadlines for any number of timers and cron rules. No clock: each call is told the time.

Rules
    A timer fires on the grid of its start: start + k x period, however late it was asked. A cron rule fires once a
    matching minute, on the wall clock.
    Runs that were passed over (the asker was late, the machine slept) are made up for by one run, the others count as
    missed; with `coalesce=False` by all of them. A run later than `misfire_grace` is missed.
    After a clock change of more than three hours the new time holds at once, as Debian's cron has it; after a smaller
    one skipped runs are made up for, and a clock that was set back repeats nothing.
    A new set of sources (a reload) keeps what is the same: its grid, its count, and that it has ended.

How it works
    Two heaps of (due, serial, name), one on each clock. An entry that was removed or moved leaves a stale item behind,
    which is dropped when it comes up.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from heliograph.values import CronRule, FileMonitor, Source, Timer

CORRECTION = 3 * 3600.0
"""Seconds; a larger change of the wall clock is a correction."""
GLANCE = 60.0
"""Seconds between two looks at the wall clock, while there are cron rules: it may have been set."""
MOST_AT_ONCE = 1000
"""Runs that are made up for at a time with `coalesce=False`; the others count as missed."""

NextFire = Callable[[CronRule, float], float]
"""The next time (seconds since 1970) after the given one at which a rule fires."""


class Moment(NamedTuple):
    """A time on both clocks, in seconds: `monotonic` never goes back, `wall` is since 1970 and may be set."""

    monotonic: float
    wall: float


class Firing(NamedTuple):
    """A source whose time has come, and how many times its signal is to be raised."""

    source: Source
    times: int


@dataclass(slots=True)
class Entry:
    """A source and where it stands. `due` is monotonic for a timer, wall for a rule; infinite once it has ended."""

    source: Source
    start: float
    due: float = math.inf
    tick: int = 0
    """Of a timer: which k the next run is."""
    fired: int = 0
    missed: int = 0
    serial: int = 0


@dataclass(slots=True)
class Schedule:
    """All sources of a server. `chance()` gives numbers from 0 to 1, for jitter."""

    next_fire: NextFire
    chance: Callable[[], float]
    glance: float = GLANCE
    _entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _timers: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    _rules: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    _serial: int = 0
    _offset: float | None = None

    def adopt(self, sources: Iterable[Source], now: Moment) -> None:
        """Have exactly these sources; what is the same as before goes on as it was."""
        before, self._entries = self._entries, {}
        for source in sources:
            known = before.get(source.name)
            if known is not None and (known.source.num, known.source.what) == (source.num, source.what):
                known.source = source
                self._entries[source.name] = known
            else:
                self.add(source, now)

    def add(self, source: Source, now: Moment) -> None:
        """A new source, or another one of that name."""
        entry = Entry(source, now.monotonic, tick=1)
        self._entries[source.name] = entry
        self._plan(entry, now.wall)

    def remove(self, name: str) -> bool:
        """Forget a source; False if there is none of that name."""
        return self._entries.pop(name, None) is not None

    def change_period(self, name: str, period: float, now: Moment) -> bool:
        """Give a timer another period, on a new grid from now; False if there is no such timer."""
        entry = self._entries.get(name)
        if entry is None or not isinstance(entry.source.what, Timer):
            return False
        entry.source = replace(entry.source, what=replace(entry.source.what, period=period))
        entry.start, entry.tick = now.monotonic, 1
        self._plan(entry, now.wall)
        return True

    def entries(self) -> tuple[Entry, ...]:
        """All sources, and where they stand."""
        return tuple(self._entries.values())

    def miss(self, name: str, times: int = 1) -> None:
        """Count runs that were left out by whoever raises the signals."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.missed += times

    def wait(self, now: Moment) -> float:
        """Seconds until `due` should be asked again; infinite if never."""
        self._drop_stale()
        wait = self._timers[0][0] - now.monotonic if self._timers else math.inf
        if self._rules:
            wait = min(wait, self._rules[0][0] - now.wall, self.glance)
        return max(0.0, wait)

    def due(self, now: Moment) -> list[Firing]:
        """What fires now, each source at most once; their next runs are planned."""
        self._look_at_the_clock(now)
        found: list[Firing] = []
        for heap, time in ((self._timers, now.monotonic), (self._rules, now.wall)):
            while heap and heap[0][0] <= time:
                _, serial, name = heapq.heappop(heap)
                entry = self._entries.get(name)
                if entry is None or entry.serial != serial:
                    continue
                times = self._run_timer(entry, now) if heap is self._timers else self._run_rule(entry, now)
                entry.fired += times
                if times:
                    found.append(Firing(entry.source, times))
        return found

    def upcoming(self, count: int, now: Moment) -> list[tuple[float, Source]]:
        """The next `count` runs of all sources: wall-clock times, the soonest first. Jitter is left out."""
        runs = [run for entry in self._entries.values() for run in self._runs_of(entry, count, now)]
        return heapq.nsmallest(count, runs, key=lambda run: run[0])

    # within

    def _plan(self, entry: Entry, wall: float) -> None:
        """Put an entry's next run on its heap."""
        self._serial += 1
        entry.serial = self._serial
        what = entry.source.what
        if isinstance(what, Timer):
            ended = what.repeat and entry.tick > what.repeat
            entry.due = math.inf if ended else entry.start + entry.tick * what.period
            heap = self._timers
        elif isinstance(what, CronRule):
            entry.due = self.next_fire(what, wall)
            heap = self._rules
        else:
            return
        if entry.due < math.inf:
            heapq.heappush(heap, (entry.due + self.chance() * entry.source.jitter, entry.serial, entry.source.name))

    def _run_timer(self, entry: Entry, now: Moment) -> int:
        what = entry.source.what
        assert isinstance(what, Timer)
        last = max(entry.tick, int((now.monotonic - entry.start) / what.period))
        if what.repeat:
            last = min(last, what.repeat)
        first = entry.tick
        if entry.source.misfire_grace is not None:
            oldest = (now.monotonic - entry.source.misfire_grace - entry.start) / what.period
            first = max(first, math.ceil(oldest))
        times = self._times(entry, passed=last - entry.tick + 1, in_time=max(0, last - first + 1))
        entry.tick = last + 1
        self._plan(entry, now.wall)
        return times

    def _run_rule(self, entry: Entry, now: Moment) -> int:
        what = entry.source.what
        assert isinstance(what, CronRule)
        passed, in_time, due = 0, 0, entry.due
        grace = entry.source.misfire_grace
        while due <= now.wall and passed < MOST_AT_ONCE:
            passed += 1
            in_time += grace is None or now.wall - due <= grace
            due = self.next_fire(what, due)
        times = self._times(entry, passed=passed, in_time=in_time)
        self._plan(entry, max(now.wall, entry.due))
        return times

    def _times(self, entry: Entry, *, passed: int, in_time: int) -> int:
        """How often to fire for runs that came up, of which some are not too late."""
        times = min(in_time, 1 if entry.source.coalesce else MOST_AT_ONCE)
        entry.missed += passed - times
        return times

    def _look_at_the_clock(self, now: Moment) -> None:
        offset = now.wall - now.monotonic
        if self._offset is not None and abs(offset - self._offset) > CORRECTION:
            self._rules.clear()
            for entry in self._entries.values():
                if isinstance(entry.source.what, CronRule):
                    self._plan(entry, now.wall)
        self._offset = offset

    def _drop_stale(self) -> None:
        for heap in (self._timers, self._rules):
            while heap and getattr(self._entries.get(heap[0][2]), "serial", None) != heap[0][1]:
                heapq.heappop(heap)

    def _runs_of(self, entry: Entry, count: int, now: Moment) -> list[tuple[float, Source]]:
        what = entry.source.what
        if isinstance(what, FileMonitor) or entry.due == math.inf:
            return []
        if isinstance(what, Timer):
            left = min(count, what.repeat - entry.tick + 1) if what.repeat else count
            offset = now.wall - now.monotonic
            return [(entry.due + i * what.period + offset, entry.source) for i in range(left)]
        runs, due = [(entry.due, entry.source)], entry.due
        while len(runs) < count:
            due = self.next_fire(what, due)
            runs.append((due, entry.source))
        return runs
