"""What a server with nothing to do does: how often its processes wake up, and the CPU time that takes."""

from __future__ import annotations

from lib.idle_servers import HOSTS, MULES, WORKERS, StartedServer, awake
from lib.process_usage import METHOD, Usage, total, watch
from lib.repetitions import Plan
from lib.report import Report, Table, spread


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
        f"{METHOD}. {repetitions} interleaved repetitions: medians, and the range.",
        [_table(found)],
        ["A process that sleeps all the time has 0 switches."],
    )


def _watch(server: StartedServer, seconds: float) -> dict[str, Usage]:
    """By role, and in all."""
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
