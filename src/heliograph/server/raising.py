"""What raises signals by itself: timers, cron rules and file changes, in the master's loop.

A run that finds its queue full is owed, and tried again until there is room. What is owed is bounded: of a source that
coalesces one run, of another as many as are made up for at a time; the others count as missed.
"""

from __future__ import annotations

import logging
import random
import selectors
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heliograph._core.schedule import MOST_AT_ONCE, Entry, Moment, Schedule
from heliograph._core.sources import in_words
from heliograph.engines.rules import next_fire
from heliograph.exceptions import ScheduleError
from heliograph.server.memo import Memo
from heliograph.values import CronRule, FileMonitor, Source

if TYPE_CHECKING:
    from heliograph.watching import Watcher

_LOG = logging.getLogger("heliograph.master")

_AGAIN = 0.05
"""Seconds until a signal that found its queue full is tried again."""


class Raiser:
    """Raises the signals of a server's sources. `raise_signal` says whether there was room."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        raise_signal: Callable[[int], bool],
        is_waiting: Callable[[int], bool],
        now: Callable[[], Moment] | None = None,
        memo: Memo | None = None,
    ) -> None:
        """`is_waiting(num)` says whether a signal has not been taken yet: then another run would add nothing."""
        self._now = now or _machine_time
        self._memo = memo
        self._selector = selector
        self._raise = raise_signal
        self._is_waiting = is_waiting
        self._schedule = Schedule(next_fire, random.random)
        self._watcher: Watcher | None = None
        self._watched: dict[str, Source] = {}
        self._owed: dict[str, int] = {}

    def adopt(self, sources: Iterable[Source]) -> None:
        """Have exactly these sources; what is the same as before goes on as it was."""
        listed = list(sources)
        seen = self._memo.times() if self._memo is not None else {}
        self._schedule.adopt(listed, self._now(), seen)
        self._remember([source for source in listed if source.name not in seen])
        monitors = {source.name: source for source in listed if isinstance(source.what, FileMonitor)}
        for name in [name for name, source in self._watched.items() if monitors.get(name) != source]:
            self._unwatch(name)
        for source in monitors.values():
            if source.name not in self._watched:
                self._watch(source)

    def remove(self, name: str) -> None:
        """Forget a source."""
        self._schedule.remove(name)
        self._owed.pop(name, None)
        self._unwatch(name)

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, from now."""
        self._schedule.change_period(name, period, self._now())

    @property
    def deadline(self) -> float:
        """When `tick` is due at the latest, on the monotonic clock."""
        wait = self._schedule.wait(self._now())
        return time.monotonic() + min(wait, _AGAIN if self._owed else float("inf"))

    def tick(self) -> None:
        """Raise what is owed, then what is due."""
        owed, self._owed = self._owed, {}
        for name, times in owed.items():
            entry = self._schedule.entry(name)
            if entry is not None:
                self._fire(entry.source, times)
        due = self._schedule.due(self._now())
        for firing in due:
            self._fire(firing.source, firing.times)
        self._remember([firing.source for firing in due])

    def rows(self) -> list[dict[str, Any]]:
        """All sources, for people and programs."""
        return [_row(entry) for entry in self._schedule.entries()]

    def upcoming(self, count: int) -> list[tuple[float, str, int]]:
        """The next runs: when (seconds since 1970), the source's name, the signal."""
        return [(when, source.name, source.num) for when, source in self._schedule.upcoming(count, self._now())]

    def close(self) -> None:
        """Raise nothing any more."""
        if self._watcher is not None:
            self._selector.unregister(self._watcher.fileno())
            self._watcher.close()
            self._watcher = None

    def _remember(self, sources: Sequence[Source]) -> None:
        """Note that rules which make up for what they miss were seen to just now."""
        names = [s.name for s in sources if isinstance(s.what, CronRule) and s.misfire_grace is not None]
        if names and self._memo is not None:
            self._memo.note(dict.fromkeys(names, self._now().wall))

    def _fire(self, source: Source, times: int) -> None:
        for left in range(times, 0, -1):
            if source.coalesce and (source.name in self._owed or self._is_waiting(source.num)):
                self._schedule.miss(source.name)
            elif source.name in self._owed or not self._raise(source.num):
                self._owe(source, left)
                return

    def _owe(self, source: Source, times: int) -> None:
        owed = self._owed.get(source.name, 0) + times
        most = 1 if source.coalesce else MOST_AT_ONCE
        self._owed[source.name] = min(owed, most)
        self._schedule.miss(source.name, max(0, owed - most))

    def _watch(self, source: Source) -> None:
        what = source.what
        assert isinstance(what, FileMonitor)
        try:
            if self._watcher is None:
                self._watcher = self._new_watcher()
            self._watcher.watch(what.path, recursive=what.recursive, missing_ok=what.missing_ok, key=source.name)
        except ScheduleError as error:
            _LOG.error("%s is not watched for signal %d: %s", what.path, source.num, error)
            return
        self._watched[source.name] = source

    def _new_watcher(self) -> Watcher:
        from heliograph.watching import Watcher as NewWatcher  # noqa: PLC0415 - only who has monitors pays for them

        watcher = NewWatcher()
        self._selector.register(watcher.fileno(), selectors.EVENT_READ, self._look)
        return watcher

    def _unwatch(self, name: str) -> None:
        if self._watched.pop(name, None) is not None and self._watcher is not None:
            self._watcher.unwatch(name)

    def _look(self, _now: float) -> None:
        assert self._watcher is not None
        for name in self._watcher.changed():
            entry = self._schedule.entry(str(name))
            if entry is not None:
                entry.fired += 1
                self._fire(entry.source, 1)


def _machine_time() -> Moment:
    """Now. The monotonic clock goes on while the machine sleeps, so that the sleep is no change of the wall clock."""
    return Moment(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def _row(entry: Entry) -> dict[str, Any]:
    source = entry.source
    facts = {"name": source.name, "num": source.num, "what": in_words(source.what)}
    return {**facts, "fired": entry.fired, "missed": entry.missed}
