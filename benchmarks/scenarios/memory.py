"""Memory of each process of an idle server, and the time from its start to the first handled signal."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, median

from lib.idle_servers import MULES, SERVERS, WORKERS, ServerCommand, StartedServer, started
from lib.repetitions import Plan, ratio
from lib.report import Report, Table, spread

_MB = 1024.0
"""kB (the unit of `/proc`) per MB."""

_ROLES = ("master", "fork server", "worker", "mule")

Sizes = dict[str, list[tuple[float, float]]]
"""Role -> RSS and PSS in kB of each process."""


_NOTES = [
    "`heliograph run --engine uwsgi` imports the application once first, to check it. The time includes that.",
    "`heliograph run` has one more process: the fork server, which forks the workers and mules.",
]


def run(plan: Plan) -> Report:
    """Start every server anew for each repetition."""
    firsts: dict[str, list[float]] = {server.name: [] for server in SERVERS}
    sizes: dict[str, list[Sizes]] = {server.name: [] for server in SERVERS}
    for _ in range(plan.repetitions):
        for command in SERVERS:
            with started(command) as server:
                firsts[command.name].append(server.first_ms)
                sizes[command.name].append(_sizes(server))
    return Report(
        "Memory and start",
        _method(plan),
        [_per_process(sizes), _per_server(sizes), _starts(firsts)],
        notes=_NOTES,
    )


def _method(plan: Plan) -> str:
    return (
        f"{WORKERS} workers and {MULES} mules that loaded a module with one handler. RSS and PSS are from "
        "`smaps_rollup`, a second after the first signal was handled. PSS counts a page that N processes share as "
        "1/N, so you can add it up. The start takes from the command to the first line of the handler, in mule 1, "
        f"of a signal that worker 1 sends as soon as it is forked. {plan.repetitions} interleaved repetitions. The "
        "tables show the median and the range."
    )


def _sizes(server: StartedServer) -> Sizes:
    found: Sizes = {}
    for pid, role in server.roles.items():
        lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
        facts = {words[0]: float(words[1]) for words in lines if words[0] in ("Rss:", "Pss:")}
        found.setdefault(role, []).append((facts["Rss:"], facts["Pss:"]))
    return found


def _per_process(sizes: dict[str, list[Sizes]]) -> Table:
    rows: list[list[str]] = []
    for server in SERVERS:
        for role in _ROLES:
            found = [repetition[role] for repetition in sizes[server.name] if role in repetition]
            if found:
                rows.append([f"{server.name}: {role}", str(len(found[0])), *_both(found)])
    return Table("Per process:", ["process", "count", "RSS, MB", "PSS, MB"], rows)


def _both(found: list[list[tuple[float, float]]]) -> list[str]:
    """Return RSS and PSS in MB: the mean over the processes of a role, the median over the repetitions."""
    return [f"{median(mean(size[i] for size in sizes) for sizes in found) / _MB:.1f}" for i in (0, 1)]


def _per_server(sizes: dict[str, list[Sizes]]) -> Table:
    totals = {server.name: [_total(repetition) for repetition in sizes[server.name]] for server in SERVERS}
    return Table("Per server:", ["server", "PSS, MB", "range", "x raw"], _rows(SERVERS, totals, _MB, 1))


def _total(sizes: Sizes) -> float:
    return sum(pss for role in sizes.values() for _, pss in role)


def _starts(firsts: dict[str, list[float]]) -> Table:
    return Table("Start to the first handled signal:", ["server", "ms", "range", "x raw"], _rows(SERVERS, firsts, 1, 0))


def _rows(
    servers: tuple[ServerCommand, ...], found: dict[str, list[float]], scale: float, digits: int
) -> list[list[str]]:
    reference = found[servers[0].name]
    return [
        [server.name, *spread(found[server.name], scale, digits), f"{ratio(found[server.name], reference):.2f}"]
        for server in servers
    ]
