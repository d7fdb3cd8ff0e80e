"""Removal of tasks that ended long ago, in small bites, by processes that have nothing else to do."""

from __future__ import annotations

from heliograph.interfaces.store import TaskStore
from heliograph.models import MICROSECONDS
from heliograph.tasks.hosting import now, wake

_BITE = 50
"""Tasks that are removed in one transaction. Other processes cannot enqueue meanwhile."""
_REST = 2500
"""Microseconds until the next one, if there are more, so that removing many tasks slows no other process down."""
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
        wake(target, time + _REST)
    elif (due := store.next_removal()) is not None:
        wake(target, max(due, time + _PAUSE))
