"""A stop: when it was requested, until when it waits, and which processes it drains next."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from heliograph._core.supervision.actions import Action, Drain, Log
from heliograph._core.supervision.children import NEVER, Child, Children

STOP_DEBOUNCE = 0.1
"""Seconds in which a second stop request counts as the first: `timeout` signals its child and then its group."""

WEB_SERVER_DRAIN, WEB_SERVER_KILL = 0.5, 0.75
"""Parts of the graceful timeout: the web server gets SIGTERM after the first at the latest, and SIGKILL after the
second. The rest is for the processes that handle what it has sent."""
LAST_DRAIN = 0.9
"""Part of the graceful timeout after which all processes get SIGTERM, even if signals are queued: they are not killed
in a handler then, and run their exit functions."""
MIN_EXIT_SECONDS, MAX_EXIT_PART = 1.0, 0.25
"""Seconds that they have to exit at least, and the part of a short graceful timeout that this may take."""


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
    immediate: bool = False
    """True if a second request, or SIGQUIT, ended the graceful timeout."""
    _requested_at: float = -NEVER
    _drains: list[float] = field(default_factory=list[float])
    """Times at which a stage is drained even if signals are queued."""

    @property
    def deadline(self) -> float:
        """Time at which a stage is drained even if signals are queued."""
        return self._drains[0] if self._drains else NEVER

    def request(self, children: Children, now: float, *, immediately: bool) -> list[Action]:
        """Begin a stop. At a second request, do not wait any longer."""
        again, self.requested = self.requested, True
        if again and not immediately and now < self._requested_at + STOP_DEBOUNCE:
            return []
        self._requested_at, self.immediate = now, again or immediately
        self.by = now if self.immediate else now + self.graceful_timeout
        self._drains = [] if self.immediate else self._drain_times(children, now)
        for child in children:
            if not child.pid and self.ends_with_stage(child):
                child.deadline = NEVER
            elif child.state in ("running", "draining", "forking") or (not child.pid and child.deadline < NEVER):
                child.deadline = min(child.deadline, self.until(child))
        text = f"Stopping: finishing queued signals (graceful timeout {self.graceful_timeout:g} s)"
        return [Log(logging.INFO, "Stopping immediately" if self.immediate else text)]

    def _drain_times(self, children: Children, now: float) -> list[float]:
        """Return the times at which the web server, if there is one, and all processes are drained at the latest."""
        total = self.graceful_timeout
        last = min(LAST_DRAIN * total, max(total - MIN_EXIT_SECONDS, (1 - MAX_EXIT_PART) * total))
        parts = [WEB_SERVER_DRAIN * total] if any(child.policy.origin == "command" for child in children) else []
        return [now + seconds for seconds in (*parts, last)]

    def until(self, child: Child) -> float:
        """Return the time at which a process is killed."""
        rest = self.graceful_timeout * (1 - WEB_SERVER_KILL)
        return self.by if child.policy.origin == "fork" else min(self.by, max(self._requested_at, self.by - rest))

    def stage(self, children: Children) -> int:
        """Return the stage that is drained now: the lowest one that has a process left."""
        return min((child.policy.stop_stage for child in children if child.pid), default=_last_stage(children))

    def drain(self, children: Children) -> list[Action]:
        """Drain the processes of the current stage. In the last stage, drain all that are left."""
        stage = self.stage(children)
        self.idle = self.idle or stage == _last_stage(children)
        self._drains = [] if self.idle else self._drains
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

    def drain_overdue(self, children: Children, now: float) -> list[Action]:
        """Drain the stage whose time has come, even if signals are queued."""
        if self.deadline > now or now >= self.by:
            return []
        self._drains = [time for time in self._drains if time > now]
        self.idle = not self._drains
        actions = self.drain(children)
        text = f"Signals are still queued or running {now - self._requested_at:.3g} s after the stop was requested, "
        text += "stopping all processes now" if self.idle else f"stopping {_first_stage(children)} now"
        return [Log(logging.WARNING, text), *actions] if actions else []

    def explain_kill(self, child: Child) -> Log:
        """Return the log line about a process that is killed, usually because it has not exited in time."""
        if self.immediate:
            return Log(logging.INFO, f"Killing {child.identity.title} (pid {child.pid})")
        return Log(logging.WARNING, self._explain_slow_exit(child))

    def _explain_slow_exit(self, child: Child) -> str:
        text = f"{child.name} (pid {child.pid}) did not exit within"
        if not self.requested or child.policy.origin == "fork" or not self.graceful_timeout:
            return f"{text} the graceful timeout, killing it"
        text += f" {self.graceful_timeout * WEB_SERVER_KILL:.3g} s, its part of the graceful timeout, killing it"
        if not child.policy.proven_by_joins:
            return text
        return f"{text}. To let it close its connections itself, set a shorter timeout in its own options"

    def ends_with_stage(self, child: Child) -> bool:
        """Return True if the server is stopping and does not need this command again once it has exited."""
        return self.requested and child.policy.origin == "command"

    def explain_early_exit(self, child: Child, now: float) -> list[Action]:
        """Log why the web server may have exited before the stop drained it."""
        if not (self.requested and child.policy.proven_by_joins) or now >= self.by:
            return []
        text = (
            f"{child.name} exited before the master stopped it. Whoever stops the server sends SIGTERM to all of its "
            "processes, or Ctrl-C in a terminal, so its workers cannot finish queued signals. Send SIGTERM to the "
            "master only: KillMode=mixed in systemd, stopasgroup=false in supervisord"
        )
        return [Log(logging.WARNING, text)]

    def is_over_for(self, child: Child, now: float) -> bool:
        """Return True if a process that exits now is not restarted."""
        return self.requested and (self.idle or now >= self.by or self.ends_with_stage(child))

    def is_done(self, children: Children) -> bool:
        """Return True if the server is stopping, and no process is left or about to be started."""
        return self.requested and all(child.state == "absent" and child.deadline == NEVER for child in children)


def _first_stage(children: Children) -> str:
    """Return the commands, which are drained first, for people."""
    has_web_server = any(child.policy.proven_by_joins for child in children)
    return "the web server" if has_web_server else "the commands"


def _last_stage(children: Children) -> int:
    return max((child.policy.stop_stage for child in children), default=0)
