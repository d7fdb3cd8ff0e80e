"""What a server with nothing to do does: how often its processes wake up, and the CPU time that takes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rig.hosts import HOSTS, MULES, WORKERS, Awake, awake
from rig.report import Report, Table, spread
from rig.rounds import Plan


class Usage(NamedTuple):
    """Since a process began, over all its threads."""

    voluntary: int
    involuntary: int
    cpu_ns: int


def run(plan: Plan) -> Report:
    """Start every server, and leave it alone."""
    seconds = plan.size(10, 2)
    repetitions = min(plan.repetitions, 3)
    found: dict[str, list[dict[str, Usage]]] = {host.name: [] for host in HOSTS}
    for _ in range(repetitions):
        for host in HOSTS:
            with awake(host) as server:
                found[host.name].append(_watch(server, seconds))
    return Report(
        "An idle server",
        f"{WORKERS} workers and {MULES} mules that have handled one signal, a second before. Over {seconds} seconds: "
        "context switches of all threads of a role's processes, from `/proc/PID/task/*/status`, and their time on a "
        f"CPU, from `schedstat`. {repetitions} interleaved repetitions: medians, and the range.",
        [_table(found)],
        ["A process that sleeps all the time has 0 switches."],
    )


def _watch(server: Awake, seconds: float) -> dict[str, Usage]:
    """By role, and in all."""
    before = {pid: _usage(pid) for pid in server.roles}
    time.sleep(seconds)
    spent = {pid: _minus(_usage(pid), then) for pid, then in before.items()}
    roles = sorted(set(server.roles.values()))
    by_role = {role: _sum(use for pid, use in spent.items() if server.roles[pid] == role) for role in roles}
    return by_role | {"all": _sum(spent.values())}


def _usage(pid: int) -> Usage:
    return _sum(_usage_of_thread(task) for task in Path(f"/proc/{pid}/task").iterdir())


def _usage_of_thread(task: Path) -> Usage:
    lines = [line.partition(":") for line in (task / "status").read_text().splitlines()]
    facts = {name: value.strip() for name, _, value in lines}
    cpu_ns = int((task / "schedstat").read_text().split()[0])
    return Usage(int(facts["voluntary_ctxt_switches"]), int(facts["nonvoluntary_ctxt_switches"]), cpu_ns)


def _sum(usages: Iterable[Usage]) -> Usage:
    return Usage(*map(sum, zip(*usages, strict=True)))


def _minus(now: Usage, then: Usage) -> Usage:
    return Usage(*(a - b for a, b in zip(now, then, strict=True)))


def _table(found: dict[str, list[dict[str, Usage]]]) -> Table:
    rows = [
        _row(f"{name}: {role}", [repetition[role] for repetition in repetitions])
        for name, repetitions in found.items()
        for role in repetitions[0]
    ]
    return Table("By role:", ["processes", "voluntary", "range", "involuntary", "range", "CPU, ms", "range"], rows)


def _row(name: str, usages: list[Usage]) -> list[str]:
    return [
        *(name, *spread([use.voluntary for use in usages], 1, 0)),
        *spread([use.involuntary for use in usages], 1, 0),
        *spread([use.cpu_ns for use in usages], 1e6, 2),
    ]
