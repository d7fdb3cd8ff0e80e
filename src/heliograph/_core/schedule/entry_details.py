"""A trigger and the times of its runs as JSON, for programs that look at a server."""

from __future__ import annotations

import math
from typing import Any

from heliograph._core.schedule.entries import Entry
from heliograph._core.schedule.schedule import ClockReading
from heliograph._core.schedule.trigger_codec import describe_trigger
from heliograph.models import At, CronRule, FileMonitor, Timer

_KINDS: dict[type[Timer | CronRule | FileMonitor | At], str] = {Timer: "timer", CronRule: "cron", FileMonitor: "file"}


def describe_entry(entry: Entry, now: ClockReading, deferred: float | None) -> dict[str, Any]:
    """Return the fields of `heliograph.insights.model.TriggerState` that the scheduler knows.

    `deferred` are the seconds for which a run has waited for space in its queue. None: no run waits.
    """
    trigger = entry.trigger
    spec = trigger.spec
    due = entry.due + entry.delay + (now.wall - now.monotonic if isinstance(spec, Timer) else 0.0)
    late = now.wall - due if deferred is None else deferred
    return {
        "name": trigger.name,
        "kind": _KINDS[type(spec)],
        "schedule": spec.path if isinstance(spec, FileMonitor) else describe_trigger(spec),
        "num": trigger.num,
        "fired": entry.fired,
        "missed": entry.missed,
        "last": entry.last,
        "next": due if due < math.inf else None,
        "last_missed": entry.last_missed,
        "late": late if late > 0 else None,
    }
