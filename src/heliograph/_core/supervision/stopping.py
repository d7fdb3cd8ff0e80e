"""A stop: when it was requested, until when it waits, and which processes it drains next."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from heliograph._core.supervision.actions import Action, Drain, Log
from heliograph._core.supervision.children import NEVER, Child, Children

STOP_DEBOUNCE = 0.1
"""Seconds in which a second stop request counts as the first: `timeout` signals its child and then its group."""


@dataclass(slots=True)
class Stop:
    """The progress of a stop."""

    graceful_timeout: float
    requested: bool = False
    idle: bool = False
    """True once the last stage drains."""
    finished: bool = False
    code: int = 0
    """Exit code of the server."""
    by: float = NEVER
    """Time at which the remaining processes are killed."""
    _requested_at: float = -NEVER

    def request(self, children: Children, now: float) -> list[Action]:
        """Begin a stop. At a second request, do not wait any longer."""
        again, self.requested = self.requested, True
        if again and now < self._requested_at + STOP_DEBOUNCE:
            return []
        self._requested_at = now
        self.by = now if again else now + self.graceful_timeout
        for child in children:
            if not child.pid and self.ends_with_stage(child):
                child.deadline = NEVER
            elif child.state in ("running", "draining", "forking") or (not child.pid and child.deadline < NEVER):
                child.deadline = min(child.deadline, self.by)
        text = f"Stopping: finishing queued signals (graceful timeout {self.graceful_timeout:g} s)"
        return [Log(logging.INFO, "Stopping immediately" if again else text)]

    def stage(self, children: Children) -> int:
        """Return the stage that is drained now: the lowest one that has a process left."""
        return min((child.policy.stop_stage for child in children if child.pid), default=_last_stage(children))

    def drain(self, children: Children) -> list[Action]:
        """Drain the processes of the current stage. In the last stage, drain all that are left."""
        stage = self.stage(children)
        self.idle = stage == _last_stage(children)
        actions: list[Action] = []
        for child in children:
            # A process that joined exits with its command.
            is_due = self.idle or (child.policy.stop_stage == stage and child.policy.origin != "join")
            if child.state == "absent" and self.idle:
                child.deadline = NEVER
            elif child.state == "running" and is_due:
                child.state = "draining"
                actions.append(Drain(child.pid))
        return actions

    def ends_with_stage(self, child: Child) -> bool:
        """Return True if the server is stopping and does not need this command again once it has exited."""
        return self.requested and child.policy.origin == "command"

    def explain_early_exit(self, child: Child, now: float) -> list[Action]:
        """Log why a command may have exited before the stop drained it."""
        if not self.ends_with_stage(child) or now >= self.by:
            return []
        text = (
            f"{child.name} exited before the master stopped it. Whoever stops the server sends SIGTERM to all of its "
            "processes, so its workers cannot finish queued signals. Send SIGTERM to the master only: KillMode=mixed "
            "in systemd, stopasgroup=false in supervisord"
        )
        return [Log(logging.WARNING, text)]

    def is_over_for(self, child: Child, now: float) -> bool:
        """Return True if a process that exits now is not restarted."""
        return self.requested and (self.idle or now >= self.by or self.ends_with_stage(child))

    def is_done(self, children: Children) -> bool:
        """Return True if the server is stopping, and no process is left or about to be started."""
        return self.requested and all(child.state == "absent" and child.deadline == NEVER for child in children)


def _last_stage(children: Children) -> int:
    return max((child.policy.stop_stage for child in children), default=0)
