"""Idle servers: how often their processes wake up, and how much CPU time they use."""

from __future__ import annotations

from lib.idle_servers import MULES, SERVERS, WORKERS, StartedServer, started
from lib.process_usage import METHOD, Usage, total, watch
from lib.repetitions import Plan
from lib.report import Report, Table, spread

_NOTES = ["A process that never wakes up has 0 switches."]


def run(plan: Plan) -> Report:
    """Start every server and watch it while it is idle."""
    seconds = plan.size(10, 2)
    repetitions = min(plan.repetitions, 3)
    found: dict[str, list[dict[str, Usage]]] = {command.name: [] for command in SERVERS}
    for _ in range(repetitions):
        for command in SERVERS:
            with started(command) as server:
                found[command.name].append(_watch(server, seconds))
    return Report(
        "An idle server",
        _method(plan),
        [_table(found)],
        notes=_NOTES,
    )


def _method(plan: Plan) -> str:
    return (
        f"{WORKERS} workers and {MULES} mules that handled one signal a second earlier. For {plan.size(10, 2)} "
        f"seconds: {METHOD}. {min(plan.repetitions, 3)} interleaved repetitions. The tables show the median and "
        "the range."
    )


def _watch(server: StartedServer, seconds: float) -> dict[str, Usage]:
    """Return the usage per role and in total."""
    spent = watch(server.roles, seconds)
    roles = sorted(set(server.roles.values()))
    by_role = {role: total(use for pid, use in spent.items() if server.roles[pid] == role) for role in roles}
    return by_role | {"all": total(spent.values())}


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
