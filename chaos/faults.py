"""Kills and reloads: processes chosen at random end with SIGKILL while the server is reloaded again and again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .history import ProcessRecord
from .resources import Footprint, footprint
from .server import Server

MIN_AGE = 1.2
"""Seconds that a victim has lived: our master delays the successor of one that ends within a second of its start."""
PERIOD = 0.17
"""Seconds between two kills, on average."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What is to happen at least, and the seconds that it may take."""

    signals: int
    kills: int
    reloads: int
    seconds: float

    @property
    def rate(self) -> float:
        """Signals a second to send, so that they are sent by the time that the kills take."""
        return self.signals / max(3.0, self.kills * PERIOD)


@dataclass(slots=True)
class Progress:
    """What has happened so far."""

    kills: int = 0
    reloads: int = 0
    sent: int = 0
    before: Footprint = field(default_factory=Footprint)
    """The master's, when the storm had just begun."""

    def satisfies(self, storm: FaultPlan) -> bool:
        """Whether all of it has happened."""
        return self.sent >= storm.signals and self.kills >= storm.kills and self.reloads >= storm.reloads


def inject_faults(server: Server, storm: FaultPlan, tell: Callable[[Progress], None]) -> Progress:
    """Let the storm rage until all of it has happened, or its time is over. Raises `Gone` if the server ends."""
    weather = Progress()
    deadline = time.monotonic() + storm.seconds
    next_kill, reloading = 0.0, 0
    while not weather.satisfies(storm) and time.monotonic() < deadline:
        server.check()
        if reloading and server.all_loaded_after(reloading):
            weather.reloads, reloading = weather.reloads + 1, 0
        elif not reloading and _reload_is_due(weather, storm):
            reloading = time.monotonic_ns()
            server.reload()
        if time.monotonic() >= next_kill and weather.kills < storm.kills:
            weather.kills += _kill_one(server)
            next_kill = time.monotonic() + random.expovariate(1 / PERIOD)
        if not weather.before.processes and weather.kills >= storm.kills / 10 and server.complete():
            weather.before = footprint([server.master])
        weather.sent = sum(sums.accepted for sums in server.history.sums().values())
        tell(weather)
        time.sleep(0.02)
    return weather


def _reload_is_due(weather: Progress, storm: FaultPlan) -> bool:
    """They are spread over the kills."""
    if weather.reloads >= storm.reloads:
        return False
    return weather.kills >= storm.kills * (weather.reloads + 1) / (storm.reloads + 1)


def _kill_one(server: Server) -> bool:
    born_before = time.monotonic_ns() - int(MIN_AGE * 1e9)
    adults: list[ProcessRecord] = [life for life in server.history.newest().values() if life.born < born_before]
    return bool(adults) and server.kill(random.choice(adults))  # noqa: S311 - no secret


def wait_until_stable(server: Server, seconds: float) -> None:
    """Stop the senders, and wait until nothing is sent or handled any more: for half a second, all counts the same."""
    server.stop_senders()
    deadline = time.monotonic() + seconds
    last, since = server.history.sums(), time.monotonic()
    while time.monotonic() < min(deadline, since + 0.5):
        time.sleep(0.05)
        now = server.history.sums()
        if now != last:
            last, since = now, time.monotonic()
