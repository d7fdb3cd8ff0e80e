"""The sustained rate without loss, to one mule and to a pool of two."""

from __future__ import annotations

from functools import partial

from lib.load_generators import Figures
from lib.peers import EXECUTOR, HELIOGRAPH, LOCAL, PIPE, RAW, SIGNAL_PEERS, STDLIB_PEERS, Peer
from lib.repetitions import Case, Plan, each, interleave, percentile, ratio
from lib.report import Report, Table, Target, spread
from lib.servers import FLAGS, Server

_WINDOW = 100
"""Signals in flight for peers that drop signals. The buffer of uWSGI holds 278."""

_X_RAW, _X_PIPE = 3.0, 0.5
"""Targets for the heliograph server, relative to raw uWSGI and to a bare pipe."""

_TENTH = 10
"""Divisor for the warm-up and for the executor, which needs about 80 µs per signal."""


_NOTES = [
    "A heliograph mule reads up to 64 signals at once from its own pipe, but one at a time from the pipe of a pool.",
    "The pipe transfers one record per `os.write` and `os.read`: the upper limit for this way of sending.",
    "Pipe, queue and executor are processes forked from the sender, without a master, routes or counters.",
    "Processes are not pinned. The width of the ranges shows the effect of the kernel's choice of cores.",
]


def run(plan: Plan) -> Report:
    """Measure all peers with one and with two receivers."""
    tables = [_table(plan, 1, "To one mule:"), _table(plan, 2, 'To a pool of two mules (target "mule"):')]
    return Report(
        "Sustained rate without loss",
        _method(plan),
        tables,
        [
            *(target for table in tables for target in _targets(table)),
        ],
        _NOTES,
    )


def _method(plan: Plan) -> str:
    return (
        f"uWSGI with {' '.join(FLAGS)} --mules 1 or 2 and default buffers. A worker sends {_count(plan):,} signals "
        "per repetition after a tenth as many as warm-up. The executor gets a tenth of them. The rate counts "
        "handled signals, from the first send to the last handler. If a peer drops signals, the sender paces "
        f"itself: it reads the counter of handled signals and keeps at most {_WINDOW} in flight. heliograph blocks "
        "the sender itself. It is measured once without and once with this pacing. The latency under load is the "
        f"time from send to handler in a run of {_timed(plan):,} signals that are timed individually. "
        f"{plan.repetitions} interleaved repetitions, each on a fresh server. The tables show the median and the "
        "range. Ratios are medians of the ratios within a repetition."
    )


def _targets(table: Table) -> list[Target]:
    metric = f"heliograph local, {table.caption[:-1].lower()}"
    return [
        Target(f"{metric}, x raw", _X_RAW, table.figure(LOCAL.name, 3), at_least=True),
        Target(f"{metric}, x pipe", _X_PIPE, table.figure(LOCAL.name, 4), at_least=True),
    ]


def _count(plan: Plan) -> int:
    return plan.size(200_000, 20_000)


def _timed(plan: Plan) -> int:
    return plan.size(20_000, 2_000)


def _table(plan: Plan, mules: int, caption: str) -> Table:
    found = interleave(_cases(plan, mules), plan.repetitions)
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
        "max lost",
        *(["µs, p50", "µs, p99"] if mules == 1 else []),
    ]
    return Table(caption, columns, rows)


def _cases(plan: Plan, mules: int) -> list[Case]:
    def case(name: str, peer: Peer, window: int, part: int, timed: int) -> Case:
        measure = partial(_measure, count=_count(plan) // part, window=window, to=mules - 1, timed=timed)
        return Case(name, peer, measure, mules)

    timed = _timed(plan) if mules == 1 else 0
    signals = [case(peer.name, peer, _WINDOW if peer.drops else 0, 1, timed) for peer in SIGNAL_PEERS]
    paced = case(f"{HELIOGRAPH.name}, paced", HELIOGRAPH, _WINDOW, 1, timed)
    channels = [case(p.name, p, 0, _TENTH if p is EXECUTOR else 1, 0) for p in STDLIB_PEERS]
    return [*signals, paced, *channels]


def _measure(server: Server, count: int, window: int, to: int, timed: int) -> Figures:
    server.run_job("flood", count=count // _TENTH, window=window, to=to)
    figures = server.run_job("flood", count=count, window=window, to=to)
    figures["lost"] = [count - figures["handled"][0]]
    figures["waits"] = server.run_job("load", count=timed, window=window)["ns"] if timed else []
    return figures


def _waits(repetitions: list[Figures]) -> list[str]:
    """Return the cells with the latency under load."""
    if not repetitions[0]["waits"]:
        return ["", ""]
    return [spread([percentile(figures["waits"], p) for figures in repetitions], 1000, 0)[0] for p in (50, 99)]
