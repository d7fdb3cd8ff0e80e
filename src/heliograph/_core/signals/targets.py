"""Targets: text -> Target, and Target + Topology -> queues.

The words come from uWSGI (`core/signal.c`, `uwsgi_route_signal`). Unlike in uWSGI, a missing target is an error.

    ""  worker  worker0      the first available worker        shared queue of the workers
    workerN                  worker N                          queue of worker N
    workers                  each worker once                  queue of each worker
    active-workers           each that runs and is not cheaped
    mule  mule0  muleN  mules   the same for mules
    farmN  farm_NAME         one mule of the farm              queue of the farm
    spooler                  the first available spooler       shared queue of the spoolers
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from heliograph.exceptions import TargetError
from heliograph.models import Identity, Queue, Topology

MAX_TARGET_BYTES = 63
"""uWSGI stores a target in 64 bytes, including a final 0."""

_NUMBERED = re.compile(r"(worker|mule|farm)([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target. `text` is its resolved spelling."""

    kind: Literal["worker", "mule", "farm", "spooler"]
    scope: Literal["one", "all", "active", "any"]
    number: int
    text: str


def parse(text: str, topology: Topology | None) -> Target:
    """Parse a target. With a topology, also check that it exists there.

    Raises:
        TargetError: The target does not exist. The message lists the targets that do.
    """
    target = _read(text, topology)
    if topology is not None:
        _check(target, topology)
    return target


def available(topology: Topology) -> tuple[str, ...]:
    """Return the targets of a server with this topology."""
    words: list[str] = []
    if topology.workers:
        words += ["worker", "workers", "active-workers", *_numbered("worker", topology.workers)]
    if topology.mules:
        words += ["mule", "mules", *_numbered("mule", topology.mules)]
    words += [f"farm_{farm.name}" for i, farm in enumerate(topology.farms, 1) if readers_of(Queue("farm", i), topology)]
    if topology.spoolers:
        words.append("spooler")
    return tuple(words)


def queues(
    target: Target,
    topology: Topology,
    active_workers: Sequence[int] | None = None,
    present_workers: Sequence[int] | None = None,
) -> tuple[Queue, ...]:
    """Return the queues that get one copy each of a signal to this target.

    `active_workers` are the numbers of the workers that are active now, `present_workers` those that the server expects
    now, if they come and go. Default: all workers.
    """
    if target.scope == "any":
        return (Queue(target.kind, 0),)
    if target.scope == "one":
        return (Queue(target.kind, target.number),)
    if target.kind == "mule":
        return tuple(Queue("mule", number) for number in range(1, topology.mules + 1))
    known = active_workers if target.scope == "active" else present_workers
    numbers = range(1, topology.workers + 1) if known is None else known
    return tuple(Queue("worker", number) for number in numbers)


def varies(target: Target, topology: Topology) -> bool:
    """Return True if the number of queues of a target changes while the server runs."""
    return target.scope == "active" or (target.scope == "all" and target.kind == "worker" and topology.is_elastic)


def queues_read_by(process: Identity, topology: Topology) -> tuple[Queue, ...]:
    """Return the queues that a process reads: its own, the shared one of its kind, and those of its farms."""
    if process.role == "spooler":
        return (Queue("spooler", 0),)
    if process.role == "worker":
        return (Queue("worker", process.number), Queue("worker", 0))
    if process.role == "mule":
        farms = tuple(Queue("farm", number) for number in topology.farms_of(process.number))
        return (Queue("mule", process.number), Queue("mule", 0), *farms)
    return ()


def readers_of(queue: Queue, topology: Topology) -> tuple[Identity, ...]:
    """Return the processes that read a queue."""
    if queue.kind == "farm":
        mules = topology.farms[queue.number - 1].mules
        return tuple(process for process in topology.processes() if process.role == "mule" and process.number in mules)
    if queue.number:
        return (Identity(queue.kind, queue.number),)
    return tuple(process for process in topology.processes() if process.role == queue.kind)


def name_of(queue: Queue, topology: Topology) -> str:
    """Return the target whose signals a queue has: `worker`, `mule2`, `farm_crew`."""
    if queue.kind == "farm":
        return f"farm_{topology.farms[queue.number - 1].name}"
    return f"{queue.kind}{queue.number or ''}"


def all_queues(topology: Topology) -> tuple[Queue, ...]:
    """Return all queues of a server, in a fixed order."""
    found: list[Queue] = []
    if topology.workers:
        found += [Queue("worker", number) for number in range(topology.workers + 1)]
    if topology.mules:
        found += [Queue("mule", number) for number in range(topology.mules + 1)]
    found += [Queue("farm", number) for number in range(1, len(topology.farms) + 1)]
    if topology.spoolers:
        found.append(Queue("spooler", 0))
    return tuple(found)


def _read(text: str, topology: Topology | None) -> Target:
    if len(text.encode(errors="surrogatepass")) > MAX_TARGET_BYTES:
        raise TargetError(text, f"it is longer than {MAX_TARGET_BYTES} bytes")
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith("farm_"):
        return _farm(text, topology)
    numbered = _NUMBERED.fullmatch(text)
    if numbered is None:
        raise _unknown(text, "it is not a target", topology)
    kind, number = numbered[1], int(numbered[2])
    if kind == "farm":
        return Target("farm", "one", number, text)
    return Target("worker" if kind == "worker" else "mule", "one", number, text)


def _farm(text: str, topology: Topology | None) -> Target:
    name = text.removeprefix("farm_")
    names = [farm.name for farm in topology.farms] if topology else [name]
    if not name or name not in names:
        raise _unknown(text, f"this server has no farm of that name ({_OPTIONS['farm']})", topology)
    return Target("farm", "one", names.index(name) + 1, text)


def _check(target: Target, topology: Topology) -> None:
    count = {
        "worker": topology.workers,
        "mule": topology.mules,
        "farm": len(topology.farms),
        "spooler": topology.spoolers,
    }[target.kind]
    if not count:
        raise _unknown(target.text, f"this server has no {target.kind}s ({_OPTIONS[target.kind]})", topology)
    if target.scope == "one" and not 1 <= target.number <= count:
        counted = f"{count} {target.kind}{'s' if count > 1 else ''}, counted from 1 ({_OPTIONS[target.kind]})"
        raise _unknown(target.text, f"this server has {counted}", topology)
    if target.kind == "farm" and not readers_of(Queue("farm", target.number), topology):
        raise _unknown(target.text, "that farm has no mules", topology)


def _unknown(text: str, reason: str, topology: Topology | None) -> TargetError:
    return TargetError(text, reason, available(topology) if topology else _VOCABULARY)


def _numbered(kind: str, count: int) -> list[str]:
    return [f"{kind}{n}" for n in range(1, count + 1)] if count <= 4 else [f"{kind}1 to {kind}{count}"]


_OPTIONS = {"worker": "--workers N", "mule": "--mules N", "farm": "--farm", "spooler": "--spooler DIR"}
"""Options that start such processes, on the heliograph server and on uWSGI."""

_ANY_WORKER = Target("worker", "any", 0, "worker")
_ANY_MULE = Target("mule", "any", 0, "mule")
_WORDS = {
    "": _ANY_WORKER,
    "worker": _ANY_WORKER,
    "worker0": _ANY_WORKER,
    "workers": Target("worker", "all", 0, "workers"),
    "active-workers": Target("worker", "active", 0, "active-workers"),
    "mule": _ANY_MULE,
    "mule0": _ANY_MULE,
    "mules": Target("mule", "all", 0, "mules"),
    "spooler": Target("spooler", "any", 0, "spooler"),
}
_VOCABULARY = (
    *("worker", "workerN", "workers", "active-workers"),
    *("mule", "muleN", "mules", "farmN", "farm_NAME", "spooler"),
)
