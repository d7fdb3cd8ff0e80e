"""Frozen values that all layers share: signals, processes, queues and triggers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

MAX_WAIT = 86400.0
"""Seconds of one wait. A longer one is cut, and begins again: the kernel takes at most 2^31 milliseconds."""

SIGNALS = 256
"""Number of different signals: 0-255, one byte of the uwsgi protocol."""

MICROSECONDS = 1_000_000
"""Microseconds of a second. Times of tasks are integers, so that they compare and sort exactly."""

DEFAULT_TASK_BYTES = 1024 * 1024
"""Bytes that the arguments or the return value of a task may take as JSON, unless `--task-bytes` sets another limit."""

DEFAULT_SETTLE = 0.05
"""Seconds for which a path must not change before a file monitor sends its signal."""

Kind = Literal["worker", "mule", "farm", "spooler"]
"""The kinds of queues."""


class SignalDescription(NamedTuple):
    """A registered signal."""

    num: int
    """Signal number, 0-255."""

    target: str
    """Resolved target: `worker`, `mule1`, `farm_NAME` and so on."""

    func: Callable[..., Any]
    """The registered function."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Role and number of a process: `Identity("worker", 2)`. Processes that receive no signals have number 0."""

    role: Literal["master", "worker", "mule", "spooler", "webserver", "command", "external"]
    number: int = 0
    name: str = ""
    """Name of a command. All other processes have none."""

    def __str__(self) -> str:
        return self.name or (f"{self.role}{self.number}" if self.number else self.role)

    @property
    def title(self) -> str:
        """The process for people: `worker2`, `web server`, `bot`."""
        return "web server" if self.role == "webserver" else str(self)


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """Options of a handler besides its target."""

    name: str = ""
    """Module and name of the function: `shop.tasks.refresh`."""

    redeliver: bool = True
    """The master redelivers a signal that was in flight in a killed process."""

    remote: bool = False
    """The signal may be sent from outside, through the socket on which the server listens."""

    time_limit: float | None = None
    """Seconds a handler may take before its process is killed. 0: no limit. None: the default of the server."""

    wakeup: bool = False
    """Internal: the signal wakes a process for its tasks. It is redelivered however many processes were killed."""

    coalesce: bool = False
    """The handler runs once for all signals of its number that are queued when it starts."""


NO_OPTIONS = HandlerOptions()


@dataclass(frozen=True, slots=True)
class FarmSpec:
    """A named group of mules. `mules` are their numbers, counted from 1."""

    name: str
    mules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The processes that a server starts."""

    workers: int = 0
    """Number of workers, or the most that there can be."""
    mules: int = 0
    farms: tuple[FarmSpec, ...] = ()
    spoolers: int = 0
    min_workers: int | None = None
    """Number of workers that the server always expects. The others come and go. None: it expects all of them."""

    @property
    def is_elastic(self) -> bool:
        """True if workers come and go."""
        return self.min_workers is not None and self.min_workers < self.workers

    def processes(self) -> tuple[Identity, ...]:
        """Return all processes that receive signals, also the workers that may come later."""
        return (
            *(Identity("worker", number) for number in range(1, self.workers + 1)),
            *(Identity("mule", number) for number in range(1, self.mules + 1)),
            *(Identity("spooler", number) for number in range(1, self.spoolers + 1)),
        )

    def farms_of(self, mule: int) -> tuple[int, ...]:
        """Return the numbers of the farms of a mule, counted from 1."""
        return tuple(i for i, farm in enumerate(self.farms, 1) if mule in farm.mules)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of signals. Number 0 is shared by all processes of the kind, number N belongs to the N-th process.

    The mules of a farm share the queue of the farm. Farms are counted from 1.
    """

    kind: Kind
    number: int

    def __str__(self) -> str:
        return f"{self.kind}{self.number}"


@dataclass(frozen=True, slots=True)
class Timer:
    """Sends a signal every `period` seconds at a fixed rate, `repeat` times. 0 means without end."""

    period: float
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class CronRule:
    """Sends a signal once in each minute of the wall clock that all five fields match.

    The fields have the syntax of a crontab: `"0"`, `"*/5"`, `"10-18/2"`, `"1,15"`. Day and month also accept the
    `"-N"` of uWSGI, which means every value that N divides. `tz` is an IANA name, or "" for the zone of this machine.
    """

    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    tz: str = ""


@dataclass(frozen=True, slots=True)
class FileMonitor:
    """Sends a signal when the file or directory at `path` is created, changed, replaced or removed.

    `recursive` includes all directories below. With `missing_ok` the path need not exist. The signal is sent when the
    path has not changed for `settle` seconds.
    """

    path: str
    recursive: bool = False
    missing_ok: bool = False
    settle: float = DEFAULT_SETTLE


@dataclass(frozen=True, slots=True)
class At:
    """Sends a signal once, when the wall clock reaches `when`, in seconds since 1970. The server uses it for tasks."""

    when: float


@dataclass(frozen=True, slots=True)
class Trigger:
    """A timer, cron rule or file monitor. It exists once per server, even if several processes declare it."""

    num: int
    """The signal that it sends."""

    spec: Timer | CronRule | FileMonitor | At

    name: str
    """Name, unique on a server. `change_period` and `unregister_trigger` take it."""

    jitter: float = 0.0
    """Each run is delayed by a random time of up to this many seconds."""

    coalesce: bool = True
    """Skip a run, and count it as missed, while an earlier one is still queued."""

    misfire_grace: float | None = None
    """Seconds by which a run may be late, for example after a suspend, before it is skipped. None: no limit.

    A cron rule with a `misfire_grace` also catches up after a stop of the server.
    """
