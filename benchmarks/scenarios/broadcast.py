"""A signal to each of four mules: how many are lost, and how fast they are handled."""

from __future__ import annotations

from functools import partial

from lib.load_generators import Figures
from lib.peers import RAW, SIGNAL_PEERS, Peer
from lib.repetitions import Case, Plan, each, interleave, ratio
from lib.report import Report, Table, spread
from lib.servers import FLAGS, Server

_MULES = 4
_COLUMNS = ("peer", "lost", "range", "handled/s", "range", "x raw")


def run(plan: Plan) -> Report:
    """Measure all peers."""
    count = plan.size(100_000, 10_000)
    found = interleave([_contestant(peer, count) for peer in SIGNAL_PEERS], plan.repetitions)
    lost = each(found, lambda figures: count * _MULES - figures["handled"][0])
    rates = each(found, lambda figures: figures["handled"][0] / figures["all_ns"][0] * 1e9)
    rows = [
        [name, *spread(lost[name], 1, 0), *spread(rates[name], 1, 0), f"{ratio(rates[name], rates[RAW.name]):.2f}"]
        for name in found
    ]
    return Report(
        f"A broadcast to {_MULES} mules",
        f"uWSGI with {' '.join(FLAGS)} --mules {_MULES} and default buffers. A worker sends {count:,} signals to "
        f'the target "mules" with nothing to hold it back but the peer itself, after a tenth of them to warm up; each '
        "mule counts in shared memory, and what is not handled when the count has stood still for half a second is "
        f"lost. {plan.repetitions} interleaved repetitions, each on a fresh server: medians over them, and the range.",
        [
            Table(
                f"{count:,} signals, handled {_MULES} times:",
                ["peer", "lost", "range", "handled/s", "range", "x raw"],
                rows,
            )
        ],
        ["The rate is that of what was handled; who drops most has little to do."],
    )


def _contestant(peer: Peer, count: int) -> Case:
    return Case(peer.name, peer, partial(_measure, count=count), _MULES)


def _measure(server: Server, count: int) -> Figures:
    server.ask("flood", count=count // 10, window=0, to=_MULES)
    return server.ask("flood", count=count, window=0, to=_MULES)
