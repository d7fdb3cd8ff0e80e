"""Removal of tasks that ended long ago, in small bites, by processes that have nothing else to do."""

from __future__ import annotations

from heliograph._core.tasks.values import MICROSECONDS
from heliograph.interfaces.store import TaskStore
from heliograph.tasks.hosting import now, wake

_BITE = 500
_PAUSE = MICROSECONDS
"""The shortest time between two removals, so that tasks that ended one after another are removed together."""


def tidy(store: TaskStore, target: str) -> None:
    """Remove a few tasks whose `result_ttl` has passed, and wake the target when the next ones are due."""
    due = store.next_removal()
    if due is None:
        return
    time = now()
    if due > time:
        wake(target, due)
    elif store.purge(time, _BITE) >= _BITE:
        wake(target)
    elif (due := store.next_removal()) is not None:
        wake(target, max(due, time + _PAUSE))
