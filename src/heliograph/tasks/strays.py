"""Targets of waiting tasks that no function of this version has any longer.

A new version may give a function another target. Tasks that were stored before keep the old one, which wakes no
process. The processes of the first target run them, too.
"""

from __future__ import annotations

from heliograph.interfaces.store import TaskStore
from heliograph.tasks.hosting import now
from heliograph.tasks.registry import TASKS


def stray_targets(store: TaskStore, target: str) -> tuple[str, ...]:
    """Return the targets that the processes of `target` look after. A process asks once, after its start."""
    known = TASKS.targets
    if not known or target != known[0]:
        return ()
    return tuple(sorted(set(store.next_times(now())) - set(known)))
