"""Broadcast signals to four mules: how many are lost, and how fast the rest is handled."""

from __future__ import annotations

from functools import partial

from lib.load_generators import Figures
from lib.peers import RAW, SIGNAL_PEERS, Peer
from lib.repetitions import Case, Plan, each, interleave, ratio
from lib.report import Report, Table, spread
from lib.servers import FLAGS, Server

_MULES = 4

_NOTES = ["The rate counts handled signals only, so it favors peers that drop many."]


def run(plan: Plan) -> Report:
    """Measure all peers with signals."""
    count = plan.size(100_000, 10_000)
    found = interleave([_case(peer, count) for peer in SIGNAL_PEERS], plan.repetitions)
    lost = each(found, lambda figures: count * _MULES - figures["handled"][0])
    rates = each(found, lambda figures: figures["handled"][0] / figures["all_ns"][0] * 1e9)
    rows = [
        [name, *spread(lost[name], 1, 0), *spread(rates[name], 1, 0), f"{ratio(rates[name], rates[RAW.name]):.2f}"]
        for name in found
    ]
    return Report(
        f"A broadcast to {_MULES} mules",
        _method(plan),
        [
            Table(
                f"{count:,} signals, handled {_MULES} times:",
                ["peer", "lost", "range", "handled/s", "range", "x raw"],
                rows,
            )
        ],
        notes=_NOTES,
    )


def _method(plan: Plan) -> str:
    return (
        f"uWSGI with {' '.join(FLAGS)} --mules {_MULES} and default buffers. A worker sends "
        f'{plan.size(100_000, 10_000):,} signals to the target "mules" as fast as the peer lets it, after a tenth '
        "of them as warm-up. Each mule counts in shared memory. Signals that are not handled when the count has "
        f"not changed for half a second are lost. {plan.repetitions} interleaved repetitions, each on a fresh "
        "server. The tables show the median and the range."
    )


def _case(peer: Peer, count: int) -> Case:
    return Case(peer.name, peer, partial(_measure, count=count), _MULES)


def _measure(server: Server, count: int) -> Figures:
    server.run_job("flood", count=count // 10, window=0, to=_MULES)
    return server.run_job("flood", count=count, window=0, to=_MULES)
