"""The sustained rate at which nothing is lost: to one mule, and to a pool of two."""

from __future__ import annotations

from functools import partial

from lib.load_generators import Figures
from lib.peers import CHANNEL_PEERS, EXECUTOR, HELIOGRAPH, LOCAL, PIPE, RAW, SIGNAL_PEERS, Peer
from lib.repetitions import Case, Plan, each, interleave, percentile, ratio
from lib.report import Report, Table, spread, verdict
from lib.servers import FLAGS, Server

_WINDOW = 100
"""Signals in flight for peers that drop: well under the 278 that uWSGI's buffer holds."""

_TIMES, _OF_PIPE = 3.0, 0.5
"""Goals for heliograph's own server: times the rate of raw uWSGI, and of a bare pipe."""

_TENTH = 10
"""As warm-up, and for an executor, which needs some 80 µs for each."""


def run(plan: Plan) -> Report:
    """Measure all peers with one and with two receivers."""
    tables = [_table(plan, 1, "To one mule:"), _table(plan, 2, 'To a pool of two mules (target "mule"):')]
    return Report(
        "Sustained rate without loss",
        f"uWSGI with {' '.join(FLAGS)} --mules 1 or 2 and default buffers. A worker sends {_count(plan):,} signals a "
        f"repetition, a tenth of them to an executor, after another tenth to warm up; the rate "
        "is that of the handled ones, from the first send to the last handler. A peer that drops is paced: the sender "
        f"reads the handled counter and keeps at most {_WINDOW} in flight. heliograph holds its sender back itself; it "
        "is measured once so, and once paced like the others. Latency under load is from send to handler in a run of "
        f"{_timed(plan):,} signals that are timed one by one. {plan.repetitions} interleaved repetitions, each on a "
        "fresh server: medians over them, and their range; ratios are medians of the ratios within a repetition.",
        tables,
        [
            *(line for table in tables for line in _goals(table)),
            "From a pool's pipe heliograph takes one signal at a time, for the others' sake; from its own, up to 64.",
            "The pipe is written and read a record at a time, `os.write` and `os.read`: the limit for who sends so.",
            "Pipe, queue and executor are plain processes forked from the sender: no master, no routes, no accounts.",
            "Processes are not pinned; how wide the ranges are shows what the kernel's choice of cores does.",
        ],
    )


def _goals(table: Table) -> list[str]:
    what = f"heliograph local, {table.caption[:-1].lower()}"
    return [
        verdict(f"{what}, x raw", table.figure(LOCAL.name, 3), _TIMES, at_least=True),
        verdict(f"{what}, x pipe", table.figure(LOCAL.name, 4), _OF_PIPE, at_least=True),
    ]


def _count(plan: Plan) -> int:
    return plan.size(200_000, 20_000)


def _timed(plan: Plan) -> int:
    return plan.size(20_000, 2_000)


def _table(plan: Plan, mules: int, caption: str) -> Table:
    found = interleave(_contestants(plan, mules), plan.repetitions)
    rates = each(found, lambda figures: figures["handled"][0] / figures["all_ns"][0] * 1e9)
    lost = each(found, lambda figures: figures["lost"][0])
    rows = [
        [
            *(
                name,
                *spread(values, 1, 0),
                f"{ratio(values, rates[RAW.name]):.2f}",
                f"{ratio(values, rates[PIPE.name]):.2f}",
                f"{max(lost[name]):,.0f}",
            ),
            *(_waits(found[name]) if mules == 1 else ()),
        ]
        for name, values in rates.items()
    ]
    columns = [
        "peer",
        "handled/s",
        "range",
        "x raw",
        "x pipe",
        "lost, most",
        *(["µs, p50", "µs, p99"] if mules == 1 else []),
    ]
    return Table(caption, columns, rows)


def _contestants(plan: Plan, mules: int) -> list[Case]:
    def contestant(name: str, peer: Peer, window: int, part: int, timed: int) -> Case:
        measure = partial(_measure, count=_count(plan) // part, window=window, to=mules - 1, timed=timed)
        return Case(name, peer, measure, mules)

    timed = _timed(plan) if mules == 1 else 0
    signals = [contestant(peer.name, peer, _WINDOW if peer.drops else 0, 1, timed) for peer in SIGNAL_PEERS]
    paced = contestant(f"{HELIOGRAPH.name}, paced", HELIOGRAPH, _WINDOW, 1, timed)
    channels = [contestant(p.name, p, 0, _TENTH if p is EXECUTOR else 1, 0) for p in CHANNEL_PEERS]
    return [*signals, paced, *channels]


def _measure(server: Server, count: int, window: int, to: int, timed: int) -> Figures:
    server.ask("flood", count=count // _TENTH, window=window, to=to)
    figures = server.ask("flood", count=count, window=window, to=to)
    figures["lost"] = [count - figures["handled"][0]]
    figures["waits"] = server.ask("load", count=timed, window=window)["ns"] if timed else []
    return figures


def _waits(repetitions: list[Figures]) -> list[str]:
    """Latency under load, in the cells of a row."""
    if not repetitions[0]["waits"]:
        return ["", ""]
    return [spread([percentile(figures["waits"], p) for figures in repetitions], 1000, 0)[0] for p in (50, 99)]
