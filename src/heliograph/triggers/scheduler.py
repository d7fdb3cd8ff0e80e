"""What raises signals by itself: timers, cron rules and file changes, in the master's loop."""

from __future__ import annotations

import logging
import random
import selectors
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heliograph._core.schedule.pending_runs import PendingRuns
from heliograph._core.schedule.schedule import ClockReading, Entry, Schedule
from heliograph._core.schedule.trigger_codec import describe_trigger
from heliograph.exceptions import ScheduleError
from heliograph.loop import Selector
from heliograph.models import CronRule, FileMonitor, Trigger
from heliograph.timing.clocks import clock_reading
from heliograph.timing.rules import next_fire
from heliograph.triggers.last_runs import LastRunStore

if TYPE_CHECKING:
    from heliograph.watching import Watcher

_LOG = logging.getLogger("heliograph.master")


class MasterScheduler:
    """Raises the signals of a server's sources."""

    def __init__(
        self,
        selector: Selector,
        raise_signal: Callable[[int], bool],
        is_waiting: Callable[[int], bool],
        now: Callable[[], ClockReading] = clock_reading,
        memo: LastRunStore | None = None,
    ) -> None:
        """`raise_signal` and `is_waiting` are those of `Runs`."""
        self._now = now
        self._memo = memo
        self._selector = selector
        self._schedule = Schedule(next_fire, random.random)
        self._runs = PendingRuns(self._schedule, raise_signal, is_waiting)
        self._watcher: Watcher | None = None
        self._watched: dict[str, Trigger] = {}

    def replace_all(self, triggers: Iterable[Trigger]) -> None:
        """Have exactly these sources; what is the same as before goes on as it was."""
        listed = list(triggers)
        seen = self._memo.load() if self._memo is not None else {}
        self._schedule.replace_all(listed, self._now(), seen)
        self._remember([trigger for trigger in listed if trigger.name not in seen])
        monitors = {trigger.name: trigger for trigger in listed if isinstance(trigger.spec, FileMonitor)}
        for name in [name for name, trigger in self._watched.items() if monitors.get(name) != trigger]:
            self._unwatch(name)
        for trigger in monitors.values():
            if trigger.name not in self._watched:
                self._watch(trigger)

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
        return [(when, trigger.name, trigger.num) for when, trigger in self._schedule.upcoming(count, self._now())]

    def close(self) -> None:
        """Raise nothing any more."""
        if self._watcher is not None:
            self._selector.unregister(self._watcher.fileno())
            self._watcher.close()
            self._watcher = None

    def _remember(self, triggers: Sequence[Trigger]) -> None:
        """Note that rules which make up for what they miss were seen to just now."""
        names = [s.name for s in triggers if isinstance(s.spec, CronRule) and s.misfire_grace is not None]
        if names and self._memo is not None:
            self._memo.record(dict.fromkeys(names, self._now().wall))

    def _watch(self, trigger: Trigger) -> None:
        what = trigger.spec
        assert isinstance(what, FileMonitor)
        try:
            if self._watcher is None:
                self._watcher = self._new_watcher()
            self._watcher.watch(what.path, recursive=what.recursive, missing_ok=what.missing_ok, key=trigger.name)
        except ScheduleError as error:
            _LOG.error("%s is not watched for signal %d: %s", what.path, trigger.num, error)
            return
        self._watched[trigger.name] = trigger

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
    trigger = entry.trigger
    facts = {"name": trigger.name, "num": trigger.num, "trigger": describe_trigger(trigger.spec)}
    return {**facts, "fired": entry.fired, "missed": entry.missed}
