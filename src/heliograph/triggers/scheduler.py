"""One scheduler for every host: timers, cron rules and file monitors that send their signals.

A host owns the scheduler and drives it. It waits until `deadline` (or for `wait()` seconds) and then calls `tick()`.
It also waits for `watch_fd` to become readable and then calls `read_changes()`. There are three hosts: the loop of the
heliograph master, a thread in worker 1 of uWSGI, and the fake clock of the inline engine. A scheduler is not
thread-safe.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from heliograph._core.schedule.entries import Entry
from heliograph._core.schedule.entry_details import describe_entry
from heliograph._core.schedule.pending_runs import PendingRuns
from heliograph._core.schedule.schedule import CLOCK_CHECK_INTERVAL, ClockReading, Schedule
from heliograph._core.schedule.trigger_codec import describe_trigger
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule, FileMonitor, Trigger
from heliograph.timing.clock_watch import ClockWatch
from heliograph.timing.clocks import clock_reading
from heliograph.timing.zones import count_fires, forget_zones, localtime_stamp, next_fire
from heliograph.triggers.last_runs import LastRun, LastRunStore

LOCALTIME_CHECK_INTERVAL = 60.0
"""Seconds between two looks at the zone of the machine."""
WATCH_RETRY_INTERVAL = 60.0
"""Seconds until a path that could not be watched is tried again."""


class FileWatcher(Protocol):
    """Reports which paths changed. `heliograph.watching.Watcher` is the real one."""

    def fileno(self) -> int:
        """Return a descriptor that is readable while there may be changes to read."""
        ...

    def watch(self, path: str, *, recursive: bool, missing_ok: bool, key: object) -> None:
        """Watch `path` for `key`. Raises: ScheduleError: the path cannot be watched."""
        ...

    def unwatch(self, key: object) -> None:
        """Stop watching for `key`."""
        ...

    def changed(self) -> list[object]:
        """Return the keys whose path changed since the last call."""
        ...

    def wait(self) -> float:
        """Return the seconds until `changed` is to be called even if the descriptor is not readable."""
        ...

    def close(self) -> None:
        """Close the descriptor."""
        ...


def _open_watcher() -> FileWatcher:
    from heliograph.watching import Watcher  # noqa: PLC0415 - only servers with file monitors load inotify

    return Watcher()


def _open_clock_watch() -> ClockWatch | None:
    try:
        return ClockWatch()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class SchedulerHost:
    """The parts of a scheduler that depend on its host."""

    log: logging.Logger
    now: Callable[[], ClockReading] = clock_reading
    random: Callable[[], float] = random.random
    """Returns numbers from 0 to 1, which are multiplied with a trigger's jitter."""
    clock_check_interval: float = CLOCK_CHECK_INTERVAL
    """Seconds after which the host ticks at the latest while there are cron rules, since the wall clock may be set."""
    open_watcher: Callable[[], FileWatcher] = _open_watcher
    open_clock_watch: Callable[[], ClockWatch | None] = _open_clock_watch
    """Opens an alarm of the kernel for wake-ups. With None, the host ticks as for cron rules."""
    has_receivers: Callable[[int], bool] = lambda _num: True
    """See `PendingRuns`. The host looks at `deadline` again when a process may take signals."""
    last_runs: LastRunStore | None = field(default=None)
    """Keeps the last runs of cron rules with a `misfire_grace` across restarts. None: they are not kept."""


class Scheduler:
    """Sends the signals of a server's triggers."""

    def __init__(
        self, send_signal: Callable[[int], bool], is_queued: Callable[[int], bool], host: SchedulerHost
    ) -> None:
        """See `PendingRuns` for `send_signal` and `is_queued`."""
        self._host = host
        interval = host.clock_check_interval
        self._schedule = Schedule(next_fire, host.random, interval, interval, count_fires)
        self._runs = PendingRuns(self._schedule, send_signal, is_queued, host.has_receivers)
        self._watcher: FileWatcher | None = None
        self._clock_watch: ClockWatch | None = None
        self._watched: dict[str, Trigger] = {}
        self._unwatched: dict[str, Trigger] = {}
        """File monitors whose path cannot be watched."""
        self._faults: dict[str, str] = {}
        """The reasons of that."""
        self._localtime = localtime_stamp()
        self._check_localtime_at = 0.0
        self._retry_at = math.inf

    def replace_all(self, triggers: Iterable[Trigger]) -> None:
        """Replace all triggers by these. A trigger with the name and the times of an existing one continues it."""
        listed = list(triggers)
        forget_zones()
        last_runs = self._last_runs(listed)
        self._schedule.replace_all(listed, self._host.now(), last_runs)
        self._schedule.replan_rules(self._host.now())
        self._record([trigger for trigger in listed if trigger.name not in last_runs])
        monitors = {trigger.name: trigger for trigger in listed if isinstance(trigger.spec, FileMonitor)}
        known = self._watched | self._unwatched
        for name, trigger in known.items():
            if name not in monitors or monitors[name].spec != trigger.spec:
                self._unwatch(name)
        for trigger in monitors.values():
            if trigger.name in self._watched:
                self._watched[trigger.name] = trigger
            else:
                self._watch(trigger)

    def add(self, trigger: Trigger) -> None:
        """Add a trigger. It replaces one of the same name."""
        self.remove(trigger.name)
        self._schedule.add(trigger, self._host.now())
        if isinstance(trigger.spec, FileMonitor):
            self._watch(trigger)

    def wake_at(self, num: int, when: float) -> float:
        """Send `num` once when the wall clock reaches `when`, in seconds since 1970, unless it is sent earlier.

        Return the time at which it will be sent. Such a wake-up is no trigger of the application: `replace_all` keeps
        it, and `rows` and `upcoming` leave it out.
        """
        if self._clock_watch is None:
            self._clock_watch = self._host.open_clock_watch()
            if self._clock_watch is not None:
                self._schedule.wakeup_check_interval = math.inf
        return self._schedule.wake_at(f"tasks (signal {num})", num, when, self._host.now())

    def remove(self, name: str) -> None:
        """Remove a trigger and its deferred runs. No error if there is none of that name."""
        self._schedule.remove(name)
        self._runs.forget(name)
        self._unwatch(name)

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, in seconds, from now on. No error if there is no such timer."""
        self._schedule.change_period(name, period, self._host.now())

    def wait(self) -> float:
        """Return in how many seconds the next `tick` is due. Infinite if none is."""
        now = self._host.now()
        if self._clock_watch is not None:
            self._clock_watch.set(self._schedule.next_wakeup)
        watching = math.inf if self._watcher is None else self._watcher.wait()
        return min(self._runs.wait(now), watching, max(0.0, self._retry_at - now.monotonic))

    @property
    def deadline(self) -> float:
        """Time of `time.monotonic()` at which the next `tick` is due."""
        return time.monotonic() + self.wait()

    def tick(self) -> None:
        """Send the deferred runs, then the runs that are due. Continue with large trees of files."""
        now = self._host.now()
        if self._runs.settling:
            self.read_changes()  # they may be unread because the host is late, and belong to the same change
        self._check_localtime(now)
        self._record(self._runs.tick(now))
        if self._retry_at <= now.monotonic:
            self._retry_watching()
        if self._watcher is not None and self._watcher.wait() <= 0:
            self.read_changes()

    @property
    def watch_fd(self) -> int | None:
        """Descriptor to wait for: call `read_changes` when it is readable.

        None until the first file monitor is added. Ask again after `add` and `replace_all`. The descriptor then stays
        the same until `close`.
        """
        return None if self._watcher is None else self._watcher.fileno()

    @property
    def clock_fd(self) -> int | None:
        """Descriptor to wait for: call `read_clock`, and then `tick`, when it is readable. None until `wake_at`."""
        return None if self._clock_watch is None else self._clock_watch.fileno()

    def read_clock(self) -> bool:
        """Return True if the wall clock was set."""
        return self._clock_watch is not None and self._clock_watch.read()

    def read_changes(self, *, settled: bool = False) -> None:
        """Note which paths changed. `tick` sends the signals of their file monitors when nothing more changes.

        `settled`: nothing more will change, so send the signals now.
        """
        now = self._host.now()
        for name in self._watcher.changed() if self._watcher is not None else ():
            if settled:
                self._runs.add(str(name), now)
            else:
                self._runs.change(str(name), now)

    @property
    def deferred(self) -> tuple[str, ...]:
        """Names of the triggers whose runs wait for space in a full queue."""
        return self._runs.deferred

    def rows(self) -> list[dict[str, Any]]:
        """Return all triggers, one dictionary each, for the status output."""
        return [_row(entry) for entry in self._schedule.entries()]

    def details(self) -> list[dict[str, Any]]:
        """Return all triggers with the times of their runs, one dictionary each, for `heliograph status`."""
        now = self._host.now()
        return [
            describe_entry(entry, now, self._runs.lateness(entry.trigger.name, now))
            | {"fault": self._faults.get(entry.trigger.name) if entry.trigger.name in self._unwatched else None}
            for entry in self._schedule.entries()
        ]

    def upcoming(self, count: int) -> list[tuple[float, str, int]]:
        """Return the next `count` runs: time (seconds since 1970), name of the trigger, signal."""
        runs = self._schedule.upcoming(count, self._host.now())
        return [(when, trigger.name, trigger.num) for when, trigger in runs]

    def close(self) -> None:
        """Close the descriptors. The host stops calling `tick`."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._clock_watch is not None:
            self._clock_watch.close()
            self._clock_watch = None

    def _record(self, triggers: Sequence[Trigger]) -> None:
        """Record that these triggers have run until now, if they catch up on missed runs after a restart."""
        rules = _rules_that_catch_up(triggers)
        if rules and self._host.last_runs is not None:
            at = self._host.now().wall
            self._host.last_runs.record({name: LastRun(rule, at) for name, rule in rules.items()})

    def _last_runs(self, triggers: Sequence[Trigger]) -> dict[str, float]:
        """Return the last runs of the rules that are the same as then, and forget those of others."""
        if self._host.last_runs is None:
            return {}
        rules, runs = _rules_that_catch_up(triggers), self._host.last_runs.load()
        known = {name: run.at for name, run in runs.items() if rules.get(name) == run.rule}
        self._host.last_runs.retain(known)
        return known

    def _watch(self, trigger: Trigger) -> None:
        spec = trigger.spec
        assert isinstance(spec, FileMonitor)
        try:
            if self._watcher is None:
                self._watcher = self._host.open_watcher()
            self._watcher.watch(spec.path, recursive=spec.recursive, missing_ok=spec.missing_ok, key=trigger.name)
        except ScheduleError as error:
            if trigger.name not in self._unwatched:
                text = "Cannot watch %s for signal %d, trying again every %g s: %s"
                self._host.log.error(text, spec.path, trigger.num, WATCH_RETRY_INTERVAL, error)  # noqa: TRY400
            self._unwatched[trigger.name], self._faults[trigger.name] = trigger, str(error)
            self._retry_at = self._host.now().monotonic + WATCH_RETRY_INTERVAL
            return
        self._watched[trigger.name] = trigger

    def _check_localtime(self, now: ClockReading) -> None:
        """Look from time to time whether the zone of the machine has changed."""
        if now.monotonic < self._check_localtime_at or self._host.clock_check_interval == math.inf:
            return
        self._check_localtime_at = now.monotonic + LOCALTIME_CHECK_INTERVAL
        stamp, before = localtime_stamp(), self._localtime
        self._localtime = stamp
        if stamp != before:
            self._host.log.info("The time zone of the machine has changed, planning the cron rules anew")
            forget_zones()
            self._schedule.replan_rules(now)

    def _retry_watching(self) -> None:
        """Try again to watch what could not be watched. A path that now can be counts as changed."""
        self._retry_at = math.inf
        for name, trigger in list(self._unwatched.items()):
            self._watch(trigger)
            if name in self._watched:
                del self._unwatched[name]
                self._host.log.info("Watching %s again", describe_trigger(trigger.spec))
                self._runs.change(name, self._host.now())

    def _unwatch(self, name: str) -> None:
        self._unwatched.pop(name, None)
        self._runs.forget_change(name)
        if self._watched.pop(name, None) is not None and self._watcher is not None:
            self._watcher.unwatch(name)


def _rules_that_catch_up(triggers: Iterable[Trigger]) -> dict[str, str]:
    """Return the cron rules with a `misfire_grace` by the names of their triggers."""
    return {
        trigger.name: describe_trigger(trigger.spec)
        for trigger in triggers
        if isinstance(trigger.spec, CronRule) and trigger.misfire_grace is not None
    }


def _row(entry: Entry) -> dict[str, Any]:
    trigger = entry.trigger
    facts = {"name": trigger.name, "num": trigger.num, "trigger": describe_trigger(trigger.spec)}
    return {**facts, "fired": entry.fired, "missed": entry.missed}
