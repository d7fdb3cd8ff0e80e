"""The actions that the supervisor decides on and the master carries out."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.models import Identity


@dataclass(frozen=True, slots=True)
class StartForkServer:
    """Start a fork server, which loads the application."""

    generation: int


@dataclass(frozen=True, slots=True)
class StopForkServer:
    """Tell a fork server to exit. The supervisor does not ask it to fork again."""

    generation: int


@dataclass(frozen=True, slots=True)
class KillForkServer:
    """Kill a fork server that does not answer."""

    generation: int


@dataclass(frozen=True, slots=True)
class ReportSlowLoad:
    """Log that a fork server is still loading the application."""

    generation: int
    seconds: float
    """Time since the load began."""


@dataclass(frozen=True, slots=True)
class Activate:
    """Use the routes and triggers that the fork server of this generation has registered."""

    generation: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Tell the fork server of that generation to fork a process."""

    generation: int
    process: Identity


@dataclass(frozen=True, slots=True)
class StartCommand:
    """Start a command, such as the web server."""

    process: Identity


@dataclass(frozen=True, slots=True)
class ReloadCommand:
    """Send SIGHUP to a command, which then replaces its own processes."""

    pid: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch a process that joined. If that fails, it has exited."""

    process: Identity
    pid: int


@dataclass(frozen=True, slots=True)
class Admit:
    """Include a worker in the target `workers` from now on."""

    process: Identity


@dataclass(frozen=True, slots=True)
class Vacate:
    """Exclude a worker from the target `workers`, and drop what is queued for it: it left for good."""

    process: Identity


@dataclass(frozen=True, slots=True)
class Drain:
    """Send SIGTERM: the process finishes what is in flight and exits."""

    pid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Send SIGKILL."""

    pid: int


@dataclass(frozen=True, slots=True)
class Log:
    """Write a line to the log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Report that every process runs and receives signals, for the first time."""


@dataclass(frozen=True, slots=True)
class ReloadComplete:
    """Report that every process runs the code of this generation."""

    generation: int
    seconds: float
    """Time since the reload began."""


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """Report that the new code was not loaded. The processes keep the old code."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Exit the master with this code."""

    code: int


Action = (
    StartForkServer
    | StopForkServer
    | KillForkServer
    | ReportSlowLoad
    | Activate
    | Fork
    | StartCommand
    | ReloadCommand
    | Watch
    | Admit
    | Vacate
    | Drain
    | Kill
    | Log
    | Ready
    | ReloadComplete
    | ReloadFailed
    | Finish
)
