"""What every process of a server has from its master: inherited, or passed to it when it joined."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology

INHERITED_ENV = "HELIOGRAPH_INHERITED"
"""Environment variable that carries the wiring from the master to a template."""

MAX_REPORT_BYTES = 4096
"""Bytes; what a pipe takes in one piece (`PIPE_BUF`)."""


@dataclass(frozen=True, slots=True)
class InheritedState:
    """Descriptors, topology and options, as the master hands them to a template and all that it forks."""

    generation: int
    master: int
    """The master's process id."""
    memory: int
    """Descriptor of the shared memory."""
    queues: tuple[tuple[int, int], ...]
    """Descriptors, to read and to write, in the order of `queues.server_queues`."""
    reports: int
    """Descriptor to write reports to the master, a line of JSON each."""
    commands: int
    """Descriptor from which a template reads whom to fork; -1 in a process that joined."""
    triggers: int
    """Descriptor of the file in which a template leaves what its application declared; -1 in a process that joined."""
    topology: Topology
    app: str
    lazy: bool = False
    max_signals: int = 0
    """A process is replaced after so many; 0: never."""
    time_limit: float = 0.0
    """Seconds that a handler may take if it does not say itself; 0: for ever."""
    log_level: str = "info"
    """Least severe level that heliograph's loggers log."""

    def to_json(self) -> str:
        """Text for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        facts: dict[str, Any] = json.loads(text)
        topology = topology_from_json(facts.pop("topology"))
        queues = tuple((read, write) for read, write in facts.pop("queues"))
        return cls(**facts, queues=queues, topology=topology)

    @classmethod
    def inherited(cls) -> Self:
        """What this process inherited, once. Raises `ConfigError` if it was not started by a master."""
        # What this process starts does not inherit the descriptors, and must not think so.
        text = os.environ.pop(INHERITED_ENV, None)
        if text is None:
            raise ConfigError("this process was not started by a heliograph master; start it with heliograph run")
        return cls.from_json(text)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All descriptors, for whoever starts a process with them."""
        return (self.memory, self.reports, self.commands, self.triggers, *(fd for pair in self.queues for fd in pair))

    def passed(self) -> tuple[int, ...]:
        """The descriptors for a process that the master did not start."""
        return (self.memory, self.reports, *(fd for pair in self.queues for fd in pair))

    @classmethod
    def received(cls, text: str, descriptors: Sequence[int]) -> Self:
        """What the master told (`to_json`) and passed (`passed`)."""
        memory, reports, *ends = descriptors
        queues = tuple(zip(ends[::2], ends[1::2], strict=True))
        return replace(cls.from_json(text), memory=memory, reports=reports, queues=queues)


def topology_from_json(facts: Mapping[str, Any]) -> Topology:
    """Return the topology that `dataclasses.asdict` made into JSON."""
    farms = tuple(FarmSpec(farm["name"], tuple(farm["mules"])) for farm in facts["farms"])
    rest: dict[str, Any] = {name: value for name, value in facts.items() if name != "farms"}
    return Topology(**rest, farms=farms)


def report_to_master(inherited: InheritedState, **facts: object) -> None:
    """Tell the master: one line of JSON, at most LONGEST_REPORT bytes, in one atomic write."""
    line = json.dumps({"generation": inherited.generation, **facts}, ensure_ascii=False).encode() + b"\n"
    assert len(line) <= MAX_REPORT_BYTES
    os.write(inherited.reports, line)
