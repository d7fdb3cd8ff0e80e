"""Microseconds from a send to the start of the handler, one signal at a time."""

from __future__ import annotations

from functools import partial

from lib.cpu_affinity import PLACEMENTS, Placement
from lib.load_generators import Figures
from lib.peers import BARE, LOCAL, RAW, SIGNAL_PEERS
from lib.repetitions import Case, Plan, each, interleave, percentile, ratio
from lib.report import Report, Table, Target, spread
from lib.servers import FLAGS, Server

_TARGET = 0.7
"""Target for the heliograph server relative to raw uWSGI, at p50 and at p99."""

_HALF, _TAIL = 3, 6
"""Table columns of the ratios."""


def run(plan: Plan) -> Report:
    """Measure all peers with one sleeping mule, in all placements."""
    count = plan.size(2000, 200)
    cases = [Case(peer.name, peer, partial(_measure, count=count)) for peer in (*SIGNAL_PEERS, BARE)]
    found = interleave(cases, plan.repetitions)
    tables = {placement: _table(placement, found) for placement in PLACEMENTS}
    return Report(
        "Latency",
        _method(plan),
        list(tables.values()),
        [
            _target(placement, table, percent, at)
            for placement, table in tables.items()
            for percent, at in ((50, _HALF), (99, _TAIL))
        ],
    )


def _method(plan: Plan) -> str:
    return (
        f"uWSGI with {' '.join(FLAGS)} --mules 1 and default buffers. A worker reads the clock and sends. The "
        "first line of the handler writes the time to shared memory. The worker sends the next signal when the "
        f"counter has changed and all processes sleep again. {plan.size(2000, 200):,} signals per repetition and "
        f"placement after 100 as warm-up. {plan.repetitions} interleaved repetitions, each on a fresh server. The "
        "tables show the median and the range. Ratios are medians of the ratios within a repetition. Processes "
        "are pinned in the first two tables, because the kernel's choice of cores affects the latency more than "
        "anything else. The bare pipe is the baseline: `os.write` in one Python process, `os.read` in another, no "
        "server, one record at a time."
    )


def _target(placement: Placement, table: Table, percent: int, at: int) -> Target:
    ours, bare = (table.figure(peer.name, at) for peer in (LOCAL, BARE))
    metric = f"p{percent}, heliograph local x raw, {PLACEMENTS[placement]}"
    return Target(metric, _TARGET, ours, context=f"bare pipe: {bare:g}")


def _measure(server: Server, count: int) -> Figures:
    figures: Figures = {}
    for placement in PLACEMENTS:
        server.run_job(placement)
        server.run_job("latency", count=100)
        figures[placement] = server.run_job("latency", count=count)["ns"]
    return figures


def _table(placement: Placement, found: dict[str, list[Figures]]) -> Table:
    half, tail = (each(found, partial(_wait, placement, percent)) for percent in (50, 99))
    rows = [
        [
            *(name, *spread(half[name], 1000, 1), f"{ratio(half[name], half[RAW.name]):.2f}"),
            *(*spread(tail[name], 1000, 1), f"{ratio(tail[name], tail[RAW.name]):.2f}"),
        ]
        for name in found
    ]
    columns = ["peer", "µs, p50", "range", "x raw", "µs, p99", "range", "x raw"]
    return Table(f"Send to handler; {PLACEMENTS[placement]}:", columns, rows)


def _wait(placement: Placement, percent: int, figures: Figures) -> float:
    return percentile(figures[placement], percent)
