"""The events of a server. `Supervisor.handle` answers each of them with actions."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.models import Identity


@dataclass(frozen=True, slots=True)
class StartRequested:
    """The master starts the server."""


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """Someone asked for a reload."""

    reason: str = ""
    """Reason for the log. Empty: none is known."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Someone asked the server to stop. A second request means: immediately."""

    immediately: bool = False


@dataclass(frozen=True, slots=True)
class ForkServerReady:
    """A fork server reported that it has loaded the application."""

    generation: int


@dataclass(frozen=True, slots=True)
class ForkServerFailed:
    """A fork server reported that it cannot load the application. It exits afterwards."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class ForkServerExited:
    """A fork server exited, or could not be started."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """A process was forked, or a command was started."""

    process: Identity
    pid: int
    generation: int


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """A fork server reported that it could not fork a process."""

    process: Identity
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A process of the web server asks to become a worker. `Supervisor.worker_of` returns the worker that it became."""

    pid: int
    at_request: bool = False
    """True if it asks because of its first request. Its successor will do so too, at an unknown time."""


@dataclass(frozen=True, slots=True)
class ProcessReady:
    """A process reported that it receives signals."""

    process: Identity


@dataclass(frozen=True, slots=True)
class Exited:
    """A process exited, left, or (a command) could not be started."""

    process: Identity
    reason: str
    """Description of its exit, for the log."""
    expected: bool = False
    """True if it exited to be replaced."""
    code: int = 0
    """Exit code of a command."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No signal is queued or in flight, except for `Supervisor.vacant_workers`. Sent while the server stops."""


@dataclass(frozen=True, slots=True)
class Due:
    """`Supervisor.deadline` has passed."""


Event = (
    StartRequested
    | ReloadRequested
    | StopRequested
    | ForkServerReady
    | ForkServerFailed
    | ForkServerExited
    | Started
    | ForkFailed
    | Joined
    | ProcessReady
    | Exited
    | Idle
    | Due
)
