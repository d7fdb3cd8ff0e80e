"""What raises signals by itself: timers, cron rules and file changes, in the master's loop."""

from __future__ import annotations

import logging
import random
import selectors
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heliograph._core.runs import Runs
from heliograph._core.schedule import Entry, Moment, Schedule
from heliograph._core.sources import in_words
from heliograph.engines.clock import machine_time
from heliograph.engines.rules import next_fire
from heliograph.exceptions import ScheduleError
from heliograph.server.memo import Memo
from heliograph.values import CronRule, FileMonitor, Source

if TYPE_CHECKING:
    from heliograph.watching import Watcher

_LOG = logging.getLogger("heliograph.master")


class Raiser:
    """Raises the signals of a server's sources."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        raise_signal: Callable[[int], bool],
        is_waiting: Callable[[int], bool],
        now: Callable[[], Moment] = machine_time,
        memo: Memo | None = None,
    ) -> None:
        """`raise_signal` and `is_waiting` are those of `Runs`."""
        self._now = now
        self._memo = memo
        self._selector = selector
        self._schedule = Schedule(next_fire, random.random)
        self._runs = Runs(self._schedule, raise_signal, is_waiting)
        self._watcher: Watcher | None = None
        self._watched: dict[str, Source] = {}

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
        self._runs.forget(name)
        self._unwatch(name)

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, from now."""
        self._schedule.change_period(name, period, self._now())

    @property
    def deadline(self) -> float:
        """When `tick` is due at the latest, on the monotonic clock."""
        return time.monotonic() + self._runs.wait(self._now())

    def tick(self) -> None:
        """Raise what is owed, then what is due."""
        self._remember(self._runs.tick(self._now()))

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
            self._runs.add(str(name))


def _row(entry: Entry) -> dict[str, Any]:
    source = entry.source
    facts = {"name": source.name, "num": source.num, "what": in_words(source.what)}
    return {**facts, "fired": entry.fired, "missed": entry.missed}
