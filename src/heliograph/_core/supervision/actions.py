"""What the supervisor has the master do."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.models import Identity


@dataclass(frozen=True, slots=True)
class StartForkServer:
    """Start a process that loads the application."""

    generation: int


@dataclass(frozen=True, slots=True)
class StopForkServer:
    """Let a template end; nothing will be forked from it any more."""

    generation: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Have the template of that generation fork a process."""

    generation: int
    process: Identity


@dataclass(frozen=True, slots=True)
class StartWebServer:
    """Start the server that ours runs beside."""


@dataclass(frozen=True, slots=True)
class ReloadWebServer:
    """Have a server replace its own processes."""

    pid: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask a process to finish what it has in hand and end."""

    pid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a process now."""

    pid: int


@dataclass(frozen=True, slots=True)
class Log:
    """Tell people."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The master's work is done: exit with this code."""

    code: int


Action = StartForkServer | StopForkServer | Fork | StartWebServer | ReloadWebServer | Drain | Kill | Log | Finish
