"""Tasks as JSON: what people and programs read about them. It only reads the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from heliograph._core.tasks.limits import LIMIT, RATE
from heliograph._core.tasks.times import moment
from heliograph._core.tasks.values import MESSAGE, TaskRow, TaskStatus
from heliograph.interfaces.store import TaskStore

PAUSED, UNKNOWN, LATER, NO_SERVER = "paused", "unknown function", "its time", "no server runs"
HELD = {LIMIT: "limit reached", RATE: "rate reached"}
"""The reasons for which a task waits, besides that it waits for a process."""


class StoreView:
    """The state of a store at one moment: numbers, pauses, and the functions that its server has."""

    def __init__(self, store: TaskStore, now: int, *, is_served: bool = True) -> None:
        """`is_served`: a server runs the tasks."""
        self._is_served = is_served
        self._held = store.held_back(now)
        self._store = store
        self._now = now
        self._counts = store.counts(now)
        self._paused = store.paused()
        self._paused_names = {paused.name for paused in self._paused}
        self._functions = store.functions()

    def state(self, *, statuses: Sequence[TaskStatus] = (), name: str | None = None, target: str | None = None) -> Any:
        """Return the numbers of tasks that match, the pauses, and the functions that waiting tasks lack."""
        found = {
            key: count
            for key, count in self._counts.items()
            if (name is None or key[0] == name)
            and (target is None or key[1] == target)
            and (not statuses or key[2] in statuses)
        }
        return {
            "counts": [
                {"task": task, "target": where, "status": status.value, "count": count}
                for (task, where, status), count in sorted(found.items(), key=_order)
            ],
            "paused": [
                {"name": paused.name, "since": time_text(paused.since), "by": paused.by} for paused in self._paused
            ],
            "unknown": self._unknown(found),
            "held_back": self._held_back(found),
        }

    def _unknown(self, counts: Mapping[tuple[str, str, TaskStatus], int]) -> dict[str, int]:
        unknown: Counter[str] = Counter()
        for (name, _, status), count in counts.items():
            if status is TaskStatus.READY and self._is_unknown(name):
                unknown[name] += count
        return dict(sorted(unknown.items()))

    def _held_back(self, counts: Mapping[tuple[str, str, TaskStatus], int]) -> dict[str, str]:
        waiting = {name for (name, _, status) in counts if status is TaskStatus.READY}
        return {name: reason for name, reason in sorted(self._held.items()) if name in waiting}

    def _is_unknown(self, name: str) -> bool:
        return self._functions is not None and name not in self._functions and name != MESSAGE

    def waits_for(self, row: TaskRow) -> str | None:
        """Return the reason for which a waiting task is not run now. None: there is none."""
        if row.status is not TaskStatus.READY:
            return None
        if row.name in self._paused_names or row.target in self._paused_names:
            return PAUSED
        if self._is_unknown(row.name):
            return UNKNOWN
        if row.run_after > self._now:
            return LATER
        if row.name in self._held:
            return HELD[self._held[row.name]]
        return None if self._is_served else NO_SERVER

    def describe(self, row: TaskRow) -> dict[str, Any]:
        """Return all facts of a task. The names are those of `TaskResult`, times are text in UTC."""
        arguments: Any = _decoded(row.arguments, [[], {}])
        return {
            "id": row.id,
            "task": row.name,
            "target": row.target,
            "status": row.status.value,
            "waits_for": self.waits_for(row),
            "args": arguments[0],
            "kwargs": arguments[1],
            "priority": row.priority,
            "unique": row.unique,
            "redeliver": row.redeliver,
            "overrides": _decoded(row.overrides, {}),
            **_times(row),
            "attempts": row.attempts,
            "deaths": row.deaths,
            "worker_ids": list(row.workers),
            "progress": _decoded(row.progress),
            "return_value": _decoded(row.value),
            "errors": [_decoded(error, {"type": "?", "traceback": ""}) for error in row.errors],
        }


def time_text(microseconds: int) -> str | None:
    """Return a time in UTC: `2026-12-01T09:00:00+00:00`. None for 0, which stands for no time."""
    found = moment(microseconds)
    return None if found is None else found.isoformat()


def _times(row: TaskRow) -> dict[str, str | None]:
    return {
        "enqueued_at": time_text(row.enqueued_at),
        "run_after": time_text(row.run_after),
        "expires": time_text(row.expires),
        "started_at": time_text(row.first_attempt_at),
        "last_attempted_at": time_text(row.last_attempt_at),
        "finished_at": time_text(row.finished_at),
    }


def _order(item: tuple[tuple[str, str, TaskStatus], int]) -> tuple[str, str, int]:
    (name, target, status), _ = item
    return name, target, list(TaskStatus).index(status)


def _decoded(data: bytes | None, default: Any = None) -> Any:
    """Return JSON as Python values. For none, or for what another program wrote and is no JSON, the default."""
    try:
        return msgspec.json.decode(data) if data else default
    except (msgspec.DecodeError, UnicodeDecodeError):
        return default
