"""Targets of waiting tasks that no function of this version has.

A new version may give a function another target. Tasks that were stored before keep the old one, for which the server
has no process. A shell may name such a target, too. The processes of the first target run these tasks: the server wakes
all targets if it is to wake one that it does not have.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.tasks.registry import TASKS


def stray_targets(target: str, others: Iterable[str]) -> tuple[str, ...]:
    """Return those of the `others`, which have tasks, that the processes of `target` look after."""
    known = TASKS.targets
    if not known or target != known[0]:
        return ()
    return tuple(sorted(set(others).difference(known)))
