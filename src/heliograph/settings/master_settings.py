"""What a server of our own is to be."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.models import Topology


@dataclass(frozen=True, slots=True)
class MasterSettings:
    """What a server is: its application, its processes, how patient its master is."""

    app: str
    topology: Topology
    name: str
    graceful_timeout: float = 30.0
    """Seconds that processes get to finish, when the server stops or reloads."""
    lazy: bool = False
    max_signals: int = 0
    time_limit: float = 0.0
    listen: str | None = None
    """Where signals from outside are taken."""
    allow_remote: frozenset[int] = frozenset()
    """Numbers that may be raised from outside, beside those that were registered so."""
    command: tuple[str, ...] = ()
    """The server to run beside, whose processes are the workers; none if empty."""
