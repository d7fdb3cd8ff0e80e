"""Frozen values that all floors share: what a signal, a server and a process look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

SIGNALS = 256
"""How many signal numbers there are: 0-255, one byte on the wire."""

Kind = Literal["worker", "mule", "farm", "spooler"]
"""What a queue can belong to."""


class SignalDescription(NamedTuple):
    """Registered signal information."""

    num: int
    """Signal number, 0-255."""

    target: str
    """Target, resolved: `worker`, `mule1`, `farm_NAME` ..."""

    func: Callable[..., Any]
    """Function to run on the signal, as it was given."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is: `Identity("worker", 2)`. The master and processes that receive nothing have number 0."""

    role: Literal["master", "worker", "mule", "spooler", "webserver", "external"]
    number: int = 0

    def __str__(self) -> str:
        return f"{self.role}{self.number}" if self.number else self.role


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """What is promised of a handler beside its target."""

    name: str = ""
    """The function, for people: `shop.tasks.refresh`."""

    redeliver: bool = True
    """Whether a signal is given out again when the process that had it in hand was killed."""

    remote: bool = False
    """Whether the signal may be raised from outside, where the server listens."""

    time_limit: float | None = None
    """Seconds after which a process whose handler has not come back is ended; 0: never, None: as the server says."""


NO_OPTIONS = HandlerOptions()


@dataclass(frozen=True, slots=True)
class FarmSpec:
    """A named group of mules; `mules` are their numbers, from 1."""

    name: str
    mules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The processes that a server has, or will have."""

    workers: int = 0
    mules: int = 0
    farms: tuple[FarmSpec, ...] = ()
    spoolers: int = 0

    def processes(self) -> tuple[Identity, ...]:
        """Every process that the master starts."""
        return (
            *(Identity("worker", number) for number in range(1, self.workers + 1)),
            *(Identity("mule", number) for number in range(1, self.mules + 1)),
            *(Identity("spooler", number) for number in range(1, self.spoolers + 1)),
        )

    def farms_of(self, mule: int) -> tuple[int, ...]:
        """Numbers (from 1) of the farms that the mule belongs to."""
        return tuple(i for i, farm in enumerate(self.farms, 1) if mule in farm.mules)


@dataclass(frozen=True, slots=True)
class Queue:
    """Where signals wait: number 0 is the pool that all processes of the kind share, N the N-th's own.

    A farm's queue is read by the mules of the farm; farms and spoolers are counted from 1.
    """

    kind: Kind
    number: int

    def __str__(self) -> str:
        return f"{self.kind}{self.number}"


@dataclass(frozen=True, slots=True)
class Timer:
    """Raises a signal every `period` seconds, on the grid of its start; `repeat` times, 0 for ever."""

    period: float
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class CronRule:
    """Raises a signal once in each wall-clock minute that the five fields match, in the zone `tz` ("": this machine's).

    The fields are written as in a crontab, every number within its bounds: `"0"`, `"*/5"`, `"10-18/2"`, `"1,15"`; day
    and month may also be uWSGI's `"-N"`, every value that N divides.
    """

    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    tz: str = ""


@dataclass(frozen=True, slots=True)
class FileMonitor:
    """Raises a signal when what is at `path` changes, is replaced, made or removed; `recursive` for a whole tree."""

    path: str
    recursive: bool = False
    missing_ok: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """What raises a signal by itself. It exists once per server, however many processes declare it."""

    num: int
    """The signal that it raises."""

    spec: Timer | CronRule | FileMonitor

    name: str
    """Unique on a server; what it is listed, changed and removed by."""

    jitter: float = 0.0
    """Seconds, at most, that a run is put off by chance."""

    coalesce: bool = True
    """Whether a run is left out (and counted as missed) while one is still waiting."""

    misfire_grace: float | None = None
    """Seconds that a run may be late (the machine slept, say) before it is left out; None: it is never too late.

    A cron rule that has one is also made up for after a stop of the server.
    """
