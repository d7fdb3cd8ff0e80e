"""The fork servers of a server, one per generation of the code, and their deadlines."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from heliograph._core.supervision.actions import (
    Action,
    KillForkServer,
    Log,
    ReportSlowLoad,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import INITIAL_BACKOFF, KILL_TIMEOUT, MAX_BACKOFF, NEVER

LOAD_TIMEOUT = 600.0
"""Seconds in which a fork server must have loaded the application. Then the load counts as failed."""
SLOW_LOAD = 15.0
"""Seconds after which a load is slow, unless the last one took more than half of that. The log says so, and a reload
that is requested replaces the load."""
STARTED_WELL = 5.0
"""Seconds after the load when a fork server counts as started well."""


@dataclass(slots=True)
class ForkServerRecord:
    """A fork server that has not exited."""

    state: Literal["loading", "ready", "retiring", "stopping", "killed"]
    deadline: float = NEVER
    """Time to stop waiting for it. Every state has one, except ready and retiring: it serves its processes then."""
    slow_at: float = NEVER
    """Time to report that its load is slow. Infinite once that is reported."""

    @property
    def due(self) -> float:
        """Time at which the supervisor must look at it."""
        return min(self.deadline, self.slow_at) if self.state == "loading" else self.deadline


@dataclass(slots=True)
class Loads:
    """The fork servers that exist, the one that is loading, and the one that forks."""

    graceful_timeout: float
    current: int = 0
    """Generation of the newest fork server that has loaded the application. 0 before the first."""
    retry_at: float = NEVER
    """Time to load the application again, after the current fork server was lost and its successor failed."""
    started_at: float = NEVER
    """Time at which the last load began."""
    again: bool = False
    """True if a reload was requested while the application was being loaded."""
    failed: int = 0
    """The last generation that could not be loaded. 0 if none failed."""
    failure: str = ""
    """The reason why it could not be loaded."""
    failed_at: float = NEVER
    """Time of that failure."""
    activated_at: float = -NEVER
    """Time at which the current generation was loaded."""
    _last: int = 0
    _load_seconds: float = 0.0
    """Time that the last successful load took."""
    _replaced: int = 0
    """Number of loads in a row that were slow and given up for a reload."""
    _early_exits: int = 0
    """Number of fork servers in a row that exited soon after they had loaded the application."""
    _servers: dict[int, ForkServerRecord] = field(default_factory=dict[int, ForkServerRecord])

    @property
    def loading(self) -> int:
        """Generation that is being loaded. 0 if none is."""
        return next((number for number, server in self._servers.items() if server.state == "loading"), 0)

    @property
    def alive(self) -> frozenset[int]:
        """Generations of the fork servers that have not exited."""
        return frozenset(self._servers)

    @property
    def newest(self) -> int:
        """The newest generation, which may be loading or have failed."""
        return self._last

    @property
    def requested(self) -> int:
        """The generation that a reload waits for: it is loaded next if it is not the newest one."""
        return self._last + self.again

    @property
    def can_fork(self) -> bool:
        """True if the current fork server takes commands."""
        return self.current in self._servers and self._servers[self.current].state == "ready"

    @property
    def deadline(self) -> float:
        """Time at which a fork server is overdue, or the application must be loaded again."""
        return min([self.retry_at, *(server.due for server in self._servers.values())])

    def request(self, now: float, reason: str = "") -> list[Action]:
        """Load the application for a reload. If it is being loaded, load it once more, or now if that load is slow."""
        why = f": {reason}" if reason else ""
        if self.loading:
            self.again = True
            if self._servers[self.loading].slow_at == NEVER:
                return self._replace_slow(now)
            text = f"Reload requested while the application is being loaded, loading it once more{why}"
            return [Log(logging.INFO, text)]
        actions = self.load(now)
        return [Log(logging.INFO, f"Reloading (generation {self._last}){why}"), *actions]

    def load(self, now: float) -> list[Action]:
        """Start the fork server of the next generation."""
        self._last += 1
        self.retry_at, self.started_at, self.again = NEVER, now, False
        # The time doubles, so that an application comes to its end even if reloads are requested all the time.
        patience = max(SLOW_LOAD, 2 * self._load_seconds) * 2**self._replaced
        self._servers[self._last] = ForkServerRecord("loading", now + LOAD_TIMEOUT, now + min(patience, LOAD_TIMEOUT))
        return [StartForkServer(self._last)]

    def check_slow(self, now: float) -> list[Action]:
        """Report a load that has become slow, or replace it if a reload was requested."""
        server = self._servers.get(self.loading)
        if server is None or server.slow_at > now:
            return []
        server.slow_at = NEVER
        return self._replace_slow(now) if self.again else [ReportSlowLoad(self.loading, now - self.started_at)]

    def _replace_slow(self, now: float) -> list[Action]:
        """Kill the fork server that is loading, and start the next one."""
        self._replaced += 1
        text = f"Loading the application takes more than {now - self.started_at:.3g} s (generation {self.loading}), "
        text += "killing its fork server because another reload was requested"
        return [Log(logging.WARNING, text), *self.kill(self.loading, now), *self.request(now)]

    def activate(self, generation: int, now: float) -> None:
        """Make a loaded fork server the current one. Its predecessor retires: `stop_unused` stops it."""
        old, self.current, self.activated_at = self.current, generation, now
        self._load_seconds, self._replaced = now - self.started_at, 0
        self._servers[generation] = ForkServerRecord("ready")
        if old in self._servers and self._servers[old].state == "ready":
            self._servers[old] = ForkServerRecord("retiring", now + self.graceful_timeout + KILL_TIMEOUT)

    def stop_unused(self, used: Collection[int], now: float) -> list[Action]:
        """Stop the retiring fork servers that no process uses, that is, what the application made in them."""
        retiring = [number for number, server in self._servers.items() if server.state == "retiring"]
        return [action for number in retiring if number not in used for action in self.stop(number, now)]

    def stop(self, generation: int, now: float) -> list[Action]:
        """Tell a fork server to exit. It is killed if it has not done so after the graceful timeout."""
        server = self._servers.get(generation)
        if server is not None and server.state != "killed":
            server.state, server.deadline = "stopping", now + self.graceful_timeout
        return [StopForkServer(generation)]

    def kill(self, generation: int, now: float) -> list[Action]:
        """Kill a fork server."""
        server = self._servers.get(generation)
        if server is None or server.state == "killed":
            return []
        server.state, server.deadline = "killed", now + KILL_TIMEOUT
        return [KillForkServer(generation)]

    def exiting(self, generation: int, now: float) -> None:
        """Record that a fork server exits by itself, after a failed load."""
        if generation in self._servers:
            self._replaced = 0
            self._servers[generation] = ForkServerRecord("stopping", now + self.graceful_timeout)

    def forget(self, generation: int) -> None:
        """Record that a fork server has exited."""
        self._servers.pop(generation, None)

    def stop_all(self, now: float) -> list[Action]:
        """Tell all fork servers to exit that were not told yet."""
        untold = ("loading", "ready", "retiring")
        numbers = [number for number, server in self._servers.items() if server.state in untold]
        return [action for number in numbers for action in self.stop(number, now)]

    def reload_delay(self, now: float) -> float:
        """Return the seconds until the application is loaded again, since the current fork server exited now.

        The delay doubles if fork servers exit soon after the load. The first one is replaced at once.
        """
        self._early_exits = self._early_exits + 1 if now < self.activated_at + STARTED_WELL else 0
        return min(INITIAL_BACKOFF * 2 ** (self._early_exits - 2), MAX_BACKOFF) if self._early_exits > 1 else 0.0

    def overdue(self, now: float) -> list[tuple[int, str]]:
        """Return generation and state of the fork servers whose deadline has passed."""
        return [(number, server.state) for number, server in self._servers.items() if server.deadline <= now]

    def kill_stopping(self, generation: int, now: float) -> list[Action]:
        """Kill a fork server that has not exited on command."""
        text = f"Fork server of generation {generation} did not exit within the graceful timeout, killing it"
        return [Log(logging.WARNING, text), *self.kill(generation, now)]
