"""Send bursts as fast as possible: how many signals are lost, and how long it takes."""

from __future__ import annotations

from functools import partial
from statistics import median

from lib.load_generators import Figures
from lib.peers import LOCAL, SIGNAL_PEERS
from lib.repetitions import Case, Plan, each, interleave
from lib.report import Report, Table, Target, spread
from lib.servers import FLAGS, Server

_NOTES = ["A burst that loses most of its signals ends sooner. Compare the rates of handled signals."]


def run(plan: Plan) -> Report:
    """Measure all peers with one mule."""
    sizes = (1_000, 10_000) if plan.quick else (1_000, 10_000, 100_000)
    cases = [Case(peer.name, peer, partial(_measure, sizes=sizes)) for peer in SIGNAL_PEERS]
    found = interleave(cases, plan.repetitions)
    tables = [_table(size, found) for size in sizes]
    return Report(
        "Bursts to one mule",
        _method(plan),
        tables,
        [
            *(
                Target(f"lost of {size:,}, heliograph local", 0, t.figure(LOCAL.name, 1))
                for size, t in zip(sizes, tables, strict=True)
            ),
        ],
        _NOTES,
    )


def _method(plan: Plan) -> str:
    return (
        f"uWSGI with {' '.join(FLAGS)} --mules 1 and default buffers. A worker sends as fast as the peer lets it. "
        "The mule's handler counts in shared memory. Signals that are not handled when the count has not changed "
        f"for half a second are lost. {plan.repetitions} interleaved repetitions, each on a fresh server. The "
        "tables show the median, and the range of the losses."
    )


def _measure(server: Server, sizes: tuple[int, ...]) -> Figures:
    figures: Figures = {}
    for size in sizes:
        answer = server.run_job("flood", count=size, window=0, to=0)
        figures |= {f"{name} {size}": values for name, values in answer.items()}
    return figures


def _table(size: int, found: dict[str, list[Figures]]) -> Table:
    lost = each(found, lambda figures: size - figures[f"handled {size}"][0])
    sending = each(found, lambda figures: figures[f"send_ns {size}"][0] / 1e6)
    whole = each(found, lambda figures: figures[f"all_ns {size}"][0] / 1e6)
    rows = [
        [
            *(name, *spread(lost[name], 1, 0), f"{median(lost[name]) / size:.0%}"),
            *(spread(sending[name], 1, 1)[0], spread(whole[name], 1, 1)[0]),
            f"{(size - median(lost[name])) / median(whole[name]) * 1000:,.0f}",
        ]
        for name in found
    ]
    columns = ["peer", "lost", "range", "lost, %", "ms to send", "ms to handle", "handled/s"]
    return Table(f"{size:,} signals:", columns, rows)
