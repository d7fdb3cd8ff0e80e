"""From send to the start of the handler, one signal at a time: microseconds."""

from __future__ import annotations

from functools import partial

from lib.cpu_affinity import PLACEMENTS, Placement
from lib.load_generators import Figures
from lib.peers import BARE, LOCAL, RAW, SIGNAL_PEERS
from lib.repetitions import Case, Plan, each, interleave, percentile, ratio
from lib.report import Report, Table, spread, verdict
from lib.servers import FLAGS, Server

_GOAL = 0.7
"""Times raw uWSGI that heliograph's own server may take, at p50 and at p99."""

_HALF, _TAIL = 3, 6
"""Columns of the ratios."""


def run(plan: Plan) -> Report:
    """Measure all peers, to one mule that sleeps, in all placements."""
    count = plan.size(2000, 200)
    contestants = [Case(peer.name, peer, partial(_measure, count=count)) for peer in (*SIGNAL_PEERS, BARE)]
    found = interleave(contestants, plan.repetitions)
    tables = {placement: _table(placement, found) for placement in PLACEMENTS}
    return Report(
        "Latency",
        f"uWSGI with {' '.join(FLAGS)} --mules 1 and default buffers. A worker notes the time and sends; the handler "
        "notes the time in shared memory as the first thing it does; the next is sent when the counter has moved and "
        f"all processes sleep again. {count:,} signals a repetition and placement after 100 to warm up; "
        f"{plan.repetitions} interleaved repetitions, each on a fresh server: medians over them, and their range; "
        "ratios are medians of the ratios within a repetition. Processes are pinned in the first two tables, because "
        "the kernel's choice of cores outweighs all else. The bare pipe is a yardstick: `os.write` in one Python "
        "process, `os.read` in another, no server, a record at a time.",
        list(tables.values()),
        [
            _goal(placement, table, percent, at)
            for placement, table in tables.items()
            for percent, at in ((50, _HALF), (99, _TAIL))
        ],
    )


def _goal(placement: Placement, table: Table, percent: int, at: int) -> str:
    ours, bare = (table.figure(peer.name, at) for peer in (LOCAL, BARE))
    what = f"p{percent}, heliograph local x raw, {PLACEMENTS[placement]}"
    return verdict(what, ours, _GOAL, beside=f"a bare pipe: {bare:g}")


def _measure(server: Server, count: int) -> Figures:
    figures: Figures = {}
    for placement in PLACEMENTS:
        server.ask(placement)
        server.ask("latency", count=100)
        figures[placement] = server.ask("latency", count=count)["ns"]
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
