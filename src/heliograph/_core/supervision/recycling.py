"""Processes that are replaced because of their age.

A process that is old enough is asked to exit, as at a reload: it finishes its handler first. Unlike at a reload, it is
not killed if that takes long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from heliograph._core.sizes import duration_option
from heliograph._core.supervision.actions import Action, Drain, Log
from heliograph._core.supervision.children import NEVER, Child

MAX_JITTER = 0.1
"""Part of a limit by which it is greater at most, so that processes with the same limit are not replaced together."""


@dataclass(slots=True)
class AgeLimit:
    """The age at which forked processes are replaced."""

    max_age: float
    """Seconds since a process was ready. 0: no limit."""
    jitter: Callable[[], float]
    """Returns a number from 0 to 1, another one for each process."""

    def begin(self, child: Child, now: float) -> None:
        """Let the time of a process begin, which is ready now: loading may take longer than a short limit."""
        if self.max_age and child.policy.origin == "fork" and child.state == "running":
            child.recycle_at = now + self.max_age * (1 + MAX_JITTER * self.jitter())

    def due(self, children: Iterable[Child], now: float, *, stopping: bool) -> list[Action]:
        """Ask the processes to exit that are old enough."""
        actions: list[Action] = []
        for child in children:
            if child.recycle_at > now:
                continue
            child.recycle_at = NEVER
            if child.state == "running" and not stopping:
                child.recycling = f"it is {now - child.since:.0f} s old (--max-age {duration_option(self.max_age)})"
                actions += [Log(logging.INFO, f"Recycling {child.identity}: {child.recycling}"), Drain(child.pid)]
        return actions
