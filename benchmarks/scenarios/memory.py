"""What a server costs that does nothing yet: memory of each process, and the time until it handles a signal."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, median

from lib.idle_servers import HOSTS, MULES, WORKERS, Host, StartedServer, awake
from lib.repetitions import Plan, ratio
from lib.report import Report, Table, spread

_MB = 1024.0
"""kB, as `/proc` counts, in a MB."""

_ROLES = ("master", "template", "worker", "mule")

Sizes = dict[str, list[tuple[float, float]]]
"""RSS and PSS in kB of each process, by role."""


def run(plan: Plan) -> Report:
    """Start every server anew for each repetition."""
    firsts: dict[str, list[float]] = {host.name: [] for host in HOSTS}
    sizes: dict[str, list[Sizes]] = {host.name: [] for host in HOSTS}
    for _ in range(plan.repetitions):
        for host in HOSTS:
            with awake(host) as server:
                firsts[host.name].append(server.first_ms)
                sizes[host.name].append(_sizes(server))
    return Report(
        "Memory and start",
        f"{WORKERS} workers and {MULES} mules that loaded a module with one handler. RSS and PSS as `smaps_rollup` has "
        "them, a second after the first signal was handled; PSS counts a page that N processes share as 1/N, so it "
        "can be added up. Time is from the start of the command to the first line of the handler, in mule 1, of a "
        "signal that worker 1 sends as soon as it is forked. "
        f"{plan.repetitions} interleaved repetitions: medians, and the range.",
        [_per_process(sizes), _in_all(sizes), _starts(firsts)],
        [
            "`heliograph run --engine uwsgi` imports the application once before, to check it: that is in its time.",
            "`heliograph run` has one process more: the template, from which the others are forked.",
        ],
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
    for host in HOSTS:
        for role in _ROLES:
            found = [repetition[role] for repetition in sizes[host.name] if role in repetition]
            if found:
                rows.append([f"{host.name}: {role}", str(len(found[0])), *_both(found)])
    return Table("Each process:", ["process", "how many", "RSS, MB", "PSS, MB"], rows)


def _both(found: list[list[tuple[float, float]]]) -> list[str]:
    """RSS and PSS: the mean over the processes of a role, the median over the repetitions."""
    return [f"{median(mean(size[i] for size in sizes) for sizes in found) / _MB:.1f}" for i in (0, 1)]


def _in_all(sizes: dict[str, list[Sizes]]) -> Table:
    totals = {host.name: [_total(repetition) for repetition in sizes[host.name]] for host in HOSTS}
    return Table("A server in all:", ["server", "PSS, MB", "range", "x raw"], _rows(HOSTS, totals, _MB, 1))


def _total(sizes: Sizes) -> float:
    return sum(pss for role in sizes.values() for _, pss in role)


def _starts(firsts: dict[str, list[float]]) -> Table:
    return Table("Start to the first handled signal:", ["server", "ms", "range", "x raw"], _rows(HOSTS, firsts, 1, 0))


def _rows(hosts: tuple[Host, ...], found: dict[str, list[float]], scale: float, digits: int) -> list[list[str]]:
    reference = found[hosts[0].name]
    return [
        [host.name, *spread(found[host.name], scale, digits), f"{ratio(found[host.name], reference):.2f}"]
        for host in hosts
    ]
