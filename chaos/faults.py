"""Inject faults: kill random processes with SIGKILL while the server reloads repeatedly."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .history import ProcessRecord
from .resources import Usage, usage
from .server import Server
from .surroundings import Surroundings

MIN_AGE = 1.2
"""Minimum age in seconds of a process to kill. The master delays the replacement of younger ones."""
MEAN_KILL_INTERVAL = 0.17
"""Mean time between two kills in seconds."""


RELOAD_TIMEOUT = 10.0
"""Seconds after which a reload is requested again."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Minimum numbers of signals, kills and reloads, and the maximum duration in seconds."""

    signals: int
    kills: int
    reloads: int
    seconds: float
    surroundings: int = 0
    """Minimum number of faults in the surroundings."""

    @property
    def rate(self) -> float:
        """Signals per second, so that the signals take as long as the kills."""
        return self.signals / max(3.0, self.kills * MEAN_KILL_INTERVAL)


@dataclass(slots=True)
class Progress:
    """Signals, kills and reloads so far."""

    kills: int = 0
    reloads: int = 0
    sent: int = 0
    surroundings: int = 0
    kinds: dict[str, int] = field(default_factory=dict[str, int])
    """Faults of the surroundings by kind."""
    before: Usage = field(default_factory=Usage)
    """Resources of the master after a tenth of the kills."""

    def satisfies(self, plan: FaultPlan) -> bool:
        """Return True if the plan is complete."""
        reached = (self.sent, self.kills, self.reloads, self.surroundings)
        wanted = (plan.signals, plan.kills, plan.reloads, plan.surroundings)
        return all(count >= least for count, least in zip(reached, wanted, strict=True))


def inject_faults(server: Server, plan: FaultPlan, report: Callable[[Progress], None]) -> Progress:
    """Inject faults until the plan is complete or its time is over. Raises `ServerExited` if the server exits."""
    progress = Progress()
    deadline = time.monotonic() + plan.seconds
    next_kill, reloading = 0.0, 0
    surroundings = Surroundings(server)
    while not progress.satisfies(plan) and time.monotonic() < deadline:
        server.check()
        if reloading and server.all_loaded_after(reloading):
            progress.reloads, reloading = progress.reloads + 1, 0
        elif reloading and time.monotonic_ns() - reloading > RELOAD_TIMEOUT * 1e9:
            reloading = 0  # it failed for lack of descriptors or processes
        elif not reloading and _is_reload_due(progress, plan):
            reloading = time.monotonic_ns()
            server.reload()
        if time.monotonic() >= next_kill and progress.kills < plan.kills:
            progress.kills += _kill_one(server)
            next_kill = time.monotonic() + random.expovariate(1 / MEAN_KILL_INTERVAL)
        surroundings.step(time.monotonic(), more=surroundings.count < plan.surroundings)
        progress.surroundings = surroundings.count - surroundings.active
        if (
            not progress.before.processes
            and not surroundings.active
            and progress.kills >= plan.kills / 10
            and server.is_complete()
        ):
            progress.before = usage([server.master])
        progress.sent = sum(sums.accepted for sums in server.history.sums().values())
        report(progress)
        time.sleep(0.02)
    surroundings.end()
    progress.kinds = dict(surroundings.counts)
    return progress


def _is_reload_due(progress: Progress, plan: FaultPlan) -> bool:
    """Return True if a reload is due. Reloads are spread evenly over the kills."""
    if progress.reloads >= plan.reloads:
        return False
    return progress.kills >= plan.kills * (progress.reloads + 1) / (plan.reloads + 1)


def _kill_one(server: Server) -> bool:
    started_before = time.monotonic_ns() - int(MIN_AGE * 1e9)
    candidates: list[ProcessRecord] = [
        record for record in server.history.newest().values() if record.started < started_before
    ]
    return bool(candidates) and server.kill(random.choice(candidates))  # noqa: S311 - not for cryptography


def wait_until_stable(server: Server, seconds: float) -> None:
    """Stop the senders, and wait until no count has changed for half a second, for at most `seconds`."""
    server.stop_senders()
    deadline = time.monotonic() + seconds
    last, since = server.history.sums(), time.monotonic()
    while time.monotonic() < min(deadline, since + 0.5):
        time.sleep(0.05)
        now = server.history.sums()
        if now != last:
            last, since = now, time.monotonic()
