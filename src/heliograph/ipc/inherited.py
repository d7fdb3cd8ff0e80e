"""The state that each process of a server gets from the master.

A fork server inherits it in its environment, and the processes that it forks inherit it from there. A web worker
receives it over the control socket when it attaches. It has a protocol version: a process whose code has another one,
or other fields, refuses it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self, cast

from heliograph._core.layout import IncompatibleServer
from heliograph.exceptions import ConfigError, ServerBusy
from heliograph.ipc.pipes import server_queues
from heliograph.models import DEFAULT_TASK_BYTES, FarmSpec, Topology

SETTLE_ENV = "HELIOGRAPH_SETTLE"
"""Environment variable of a web server that reloads itself when files change, as the server does. Its processes wait
until the server has loaded the same code."""

COMMAND_ENV = "HELIOGRAPH_COMMAND_NAME"
"""Environment variable with the name of the command, set for commands besides the web server. They do not join."""

INHERITED_ENV = "HELIOGRAPH_INHERITED"
"""Environment variable that carries the state from the master to a fork server."""

PROTOCOL_VERSION = 1
"""Version of this state and of the reports. Increase it when the meaning of a field changes."""

MAX_REPORT_BYTES = 4096
"""Bytes that a pipe takes in one atomic write (`PIPE_BUF`)."""

REPORT_TIMEOUT = 5.0
"""Seconds that an application waits while the master does not read reports. A fork server waits without limit."""


@dataclass(frozen=True)
class ProcessSettings:
    """The settings of a server that its processes need."""

    topology: Topology
    app: str
    lazy: bool = False
    """True if each process loads the application itself."""
    max_signals: int = 0
    """Number of signals after which a process is replaced. 0: never."""
    max_rss: int = 0
    """Bytes of memory (PSS) above which a process is replaced. 0: never."""
    time_limit: float = 0.0
    """Seconds that a handler may take unless it has a limit of its own. 0: no limit."""
    graceful_timeout: float = 30.0
    """Seconds in which a process can finish before it exits."""
    log_level: str = "info"
    """Least severe level that heliograph's loggers log."""
    log_config: str = ""
    """Absolute path of the file that configures logging. Empty: none."""
    tasks: str = ""
    """Absolute path of the directory of tasks."""
    task_sync: str = "disk"
    """`disk` or `process`: where a task is when it counts as stored."""
    task_bytes: int = DEFAULT_TASK_BYTES
    """Longest arguments or return value of a task."""
    checked_command: tuple[str, ...] = ()
    """Command of the web server whose application a reload imports first. Empty: none."""


@dataclass(frozen=True)
class InheritedState:
    """Descriptors by name, and settings."""

    generation: int
    master: int
    """The master's process id."""
    descriptors: Mapping[str, int]
    """`memory`, `reports`, `alive` (a pipe that only the master can write), and `QUEUE.read` and `QUEUE.write` of each
    queue. `PROCESS.stack` of each process (see `ipc.stack_files`). In a fork server also `commands`, `triggers` and
    `stack`."""
    settings: ProcessSettings
    protocol: int = field(default=PROTOCOL_VERSION, kw_only=True)

    @property
    def memory(self) -> int:
        """Descriptor of the shared memory."""
        return self.descriptors["memory"]

    @property
    def reports(self) -> int:
        """Descriptor of the pipe that takes reports to the master, one line of JSON each."""
        return self.descriptors["reports"]

    @property
    def commands(self) -> int:
        """Descriptor from which a fork server reads the processes to fork."""
        return self.descriptors["commands"]

    @property
    def triggers(self) -> int:
        """Descriptor of the file to which a fork server writes the triggers of the application."""
        return self.descriptors["triggers"]

    @cached_property
    def queues(self) -> tuple[tuple[int, int], ...]:
        """Descriptors to read and to write, in the order of `pipes.server_queues`."""
        names = map(str, server_queues(self.settings.topology))
        return tuple((self.descriptors[f"{name}.read"], self.descriptors[f"{name}.write"]) for name in names)

    def to_json(self) -> str:
        """Return the state as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the state that `to_json` wrote.

        Raises:
            IncompatibleServer: if the code that wrote it has another protocol version or other fields.
        """
        try:
            read = json.loads(text)
        except ValueError as error:
            raise IncompatibleServer("inherited state that is not JSON") from error
        facts = cast("dict[str, Any]", read if isinstance(read, dict) else {})
        if (found := facts.get("protocol")) != PROTOCOL_VERSION:
            raise IncompatibleServer(f"protocol {found} instead of {PROTOCOL_VERSION} of the inherited state")
        settings = _checked(ProcessSettings, facts.get("settings"))
        settings["topology"] = topology_from_json(settings["topology"])
        settings["checked_command"] = tuple(settings["checked_command"])
        values = _checked(cls, facts)
        values["settings"] = ProcessSettings(**settings)
        state = cls(**values)
        state._check_descriptors()
        return state

    @classmethod
    def inherited(cls) -> Self:
        """Return the state that this process inherited. This works once.

        Raises:
            ConfigError: if no master started this process.
            IncompatibleServer: if the master has another version of the code. The master gets a report of that.
        """
        # Programs that this process starts do not inherit the descriptors, so they must not find the variable either.
        text = os.environ.pop(INHERITED_ENV, None)
        if text is None:
            raise ConfigError("no inherited state: no heliograph master started this process. Use `heliograph run`.")
        try:
            return cls.from_json(text)
        except IncompatibleServer as error:
            _report_refusal(text, error)
            raise

    @classmethod
    def received(cls, text: str, descriptors: Sequence[int]) -> Self:
        """Return the state that a master sent over its control socket, with the descriptors that came with it.

        The master passes `tuple(state.descriptors.values())`, so they have the order of the names.

        Raises:
            IncompatibleServer: if the master has another version of the code.
        """
        state = cls.from_json(text)
        if len(descriptors) != len(state.descriptors):
            raise IncompatibleServer(f"{len(descriptors)} descriptors instead of {len(state.descriptors)}")
        return replace(state, descriptors=dict(zip(state.descriptors, descriptors, strict=True)))

    def _check_descriptors(self) -> None:
        missing = [name for name in _required(self.settings.topology) if name not in self.descriptors]
        if missing:
            raise IncompatibleServer(f"no descriptor {missing[0]!r} in the inherited state")


def queue_descriptors(topology: Topology, pipes: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Name the descriptors of pipes, which are in the order of `pipes.server_queues`."""
    names = map(str, server_queues(topology))
    return {
        f"{name}.{end}": fd
        for name, pipe in zip(names, pipes, strict=True)
        for end, fd in zip(("read", "write"), pipe, strict=True)
    }


def topology_from_json(facts: Any) -> Topology:
    """Return the topology that `dataclasses.asdict` made into JSON.

    Raises:
        IncompatibleServer: if the code that wrote it has other fields.
    """
    topology = _checked(Topology, facts)
    farms = tuple(
        FarmSpec(farm["name"], tuple(farm["mules"]))
        for farm in (_checked(FarmSpec, farm) for farm in topology.pop("farms"))
    )
    return Topology(**topology, farms=farms)


def report_to_master(inherited: InheritedState, timeout: float | None = None, **facts: object) -> None:
    """Send one report: a line of JSON of at most MAX_REPORT_BYTES bytes, in one atomic write.

    If the pipe is full, wait until the master has read from it, at most `timeout` seconds (None: no limit).

    Raises:
        ServerBusy: if the master has not read in time. Nothing was reported.
    """
    _report(inherited.reports, inherited.generation, facts, timeout)


def _report(fd: int, generation: int, facts: Mapping[str, object], timeout: float | None) -> None:
    line = json.dumps({"generation": generation, **facts}, ensure_ascii=False).encode() + b"\n"
    assert len(line) <= MAX_REPORT_BYTES
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while not _written(fd, line):
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServerBusy(f"the master has read no reports for {timeout:g} s. Report less often, or try again.")
        poll.poll(None if timeout is None else left * 1000)


def _written(fd: int, line: bytes) -> bool:
    try:
        os.write(fd, line)
    except BlockingIOError:
        return False
    return True


def _report_refusal(text: str, error: IncompatibleServer) -> None:
    """Tell a master of any version why this process does not start, if its state can be understood so far.

    For this, the fields `generation` and `descriptors.reports`, and the report `failed`, mean the same in all versions.
    """
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        facts = json.loads(text)
        _report(facts["descriptors"]["reports"], facts["generation"], {"failed": str(error)}, REPORT_TIMEOUT)


def _required(topology: Topology) -> tuple[str, ...]:
    names = map(str, server_queues(topology))
    return ("memory", "reports", *(f"{name}.{end}" for name in names for end in ("read", "write")))


def _checked(kind: Any, facts: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as they were sent. Raises: IncompatibleServer if they are not exactly these."""
    expected = {field.name for field in fields(kind)}
    found = cast("dict[str, Any]", facts if isinstance(facts, dict) else {})
    different = sorted(expected ^ found.keys())
    if different:
        raise IncompatibleServer(f"other fields of {kind.__name__}: {', '.join(different)}")
    return dict(found)
