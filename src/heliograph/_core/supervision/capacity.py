"""Worker numbers of a web server whose processes come and go, between a least and a most number of workers.

A number is *expected* if `workers` includes it: a process has it, or its process left less than a graceful timeout ago,
or without it there would be fewer than the least number. A number that is not expected any more is vacated: the master
drops what is queued for it.

A process that asks for a number gets an expected one, which may have queued signals. If none is free, it waits a moment
for a process that is about to leave, because a web server starts the successor first. Then it gets an additional one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from heliograph._core.supervision.actions import Action, Admit, Log, Vacate
from heliograph._core.supervision.children import NEVER, Child, Children
from heliograph.models import Identity, Topology

JOIN_DELAY = 2.0
"""Seconds that a process waits for the number of a process that leaves, before it gets an additional number."""
ASK_INTERVAL = 5.0
"""Seconds after which a process that has not asked again does not wait for a number any more."""
TOO_MANY_AFTER = 15.0
"""Seconds that a process must have waited for a number before a warning says so. During a reload, the graceful timeout
if that is longer."""


@dataclass(slots=True)
class Capacity:
    """Assigns worker numbers to processes that join. Times are seconds on one monotonic clock."""

    topology: Topology
    graceful_timeout: float
    _waiting: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    """Processes without a number, by id: when each asked first, and last."""
    _has_warned: bool = False

    def assign(self, pid: int, children: Children, now: float) -> tuple[Child | None, list[Action]]:
        """Return the place for a process that asks for a worker number. None if it has to ask again."""
        self._waiting = {one: times for one, times in self._waiting.items() if now - times[1] < ASK_INTERVAL}
        since, _ = self._waiting.get(pid, (now, now))
        absent = [child for child in children.joining if child.state == "absent"]
        free = next((child for child in absent if child.expected), None)
        if free is None and absent and now - since >= self._delay(children):
            free = absent[0]
        if free is None:
            self._waiting[pid] = since, now
            return None, [] if absent else self._warn_too_many(children, now)
        self._waiting.pop(pid, None)
        free.vacate_at = NEVER
        actions: list[Action] = [] if free.expected else [Admit(free.identity)]
        free.expected = True
        return free, actions

    def on_left(self, child: Child, now: float) -> None:
        """Give the place of a process that left to others only, if no other process takes it in time."""
        if self.topology.is_elastic and child.policy.origin == "join" and child.expected:
            child.vacate_at = now + self.graceful_timeout

    def on_web_server_start(self, children: Children, now: float) -> None:
        """Vacate places in time that no process takes."""
        for child in children.joining:
            if child.state == "absent":
                self.on_left(child, now)

    def vacate(self, children: Children, now: float) -> list[Action]:
        """Vacate the numbers whose time has come."""
        actions: list[Action] = []
        for child in children.joining:
            if child.vacate_at <= now:
                child.vacate_at = NEVER
                if not children.accept_joins:  # no process can take it before the web server is started again
                    self.on_left(child, now)
                elif sum(other.expected for other in children.joining) > (self.topology.min_workers or 0):
                    child.expected = False
                    actions.append(Vacate(child.identity))
        return actions

    def surplus(self, children: Children, expected_workers: int | None) -> list[Identity]:
        """Return the workers that have left, if no fewer are ready than the command of the web server starts.

        A reload does not wait for them: after SIGTTIN, gunicorn starts the configured number of processes again.
        """
        newest = max((child.generation for child in children), default=0)
        ready = sum(child.ready and child.generation == newest for child in children.joining)
        least = self.topology.min_workers if expected_workers is None else expected_workers
        if not self.topology.is_elastic or ready < (least or 0):
            return []
        return [child.identity for child in children.joining if child.state == "absent" and child.vacate_at < NEVER]

    def _delay(self, children: Children) -> float:
        """Return the seconds that a process waits before it gets an additional number."""
        return self.graceful_timeout if _reloads(children) else JOIN_DELAY

    def _warn_too_many(self, children: Children, now: float) -> list[Action]:
        patience = max(TOO_MANY_AFTER, self.graceful_timeout) if _reloads(children) else TOO_MANY_AFTER
        waiting = sorted(pid for pid, (since, _) in self._waiting.items() if now - since >= patience)
        if not waiting or self._has_warned:
            return []
        self._has_warned = True
        most, least = self.topology.workers, self.topology.min_workers or self.topology.workers
        text = (
            f"The web server has more than {most} processes, and all {most} worker numbers are taken. Those without a "
            f"number serve requests and get no signals (pid {', '.join(map(str, waiting))}). Start the server with "
            f"--workers {least}..{most + len(waiting)} or more"
        )
        return [Log(logging.WARNING, text)]


def _reloads(children: Children) -> bool:
    """Return True if processes of the web server run older code than the newest, so they are about to leave."""
    newest = max((child.generation for child in children), default=0)
    return any(child.state == "running" and child.generation < newest for child in children.joining)


def warn_not_joined(children: Children, seconds: float) -> list[Action]:
    """Log the workers that no process has become so long after the start of the web server, and wait for none."""
    overdue = children.not_joined()
    for child in overdue:
        child.awaited = False
    missing = ", ".join(str(child.identity) for child in overdue)
    text = (
        f"No process has joined as {missing} within {seconds:g} s. Processes of gunicorn, uvicorn and granian join "
        "when the application that they serve uses heliograph. For another web server, use a middleware of "
        "heliograph.contrib or call heliograph.join_server(). If the web server has fewer workers, set --workers N "
        "before the double dash"
    )
    return [Log(logging.WARNING, text)] if overdue else []
