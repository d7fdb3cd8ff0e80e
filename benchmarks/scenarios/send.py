"""What a send costs its sender while nothing presses: microseconds."""

from __future__ import annotations

from functools import partial
from statistics import median

from rig.cores import PLACEMENTS, Placement
from rig.jobs import Figures
from rig.peers import HELIOGRAPH, RAW, SIGNAL_PEERS, Server
from rig.report import Report, Table, spread
from rig.rounds import Contestant, Plan, each, interleave, percentile, ratio
from rig.servers import FLAGS

_EXPECTED = 1.5
"""Times raw uWSGI that heliograph may cost, in batches of 20."""

_CASES = {
    "batch of 20": "Batches of 20, the queue empty before each",
    "batch of 100": "Batches of 100, the queue empty before each",
    "alone": "One send a millisecond, each timed alone, so with cold caches and a receiver to wake",
}

_WARM_UP = 20


def run(plan: Plan) -> Report:
    """Measure all peers in batches of 20 and of 100, and one by one, in both placements."""
    contestants = [Contestant(peer.name, peer, partial(_measure, plan=plan)) for peer in SIGNAL_PEERS]
    found = interleave(contestants, plan.repetitions)
    expected = each(found, partial(_middle, "batch of 20, together"))
    times = ratio(expected[HELIOGRAPH.name], expected[RAW.name])
    verdict = "met" if times <= _EXPECTED else "missed"
    return Report(
        "Cost of a send",
        f"uWSGI with {' '.join(FLAGS)} --mules 1 and default buffers; a worker runs `send(what)` in the same loop for "
        f"all, from a request, to one mule that counts. {plan.size(200, 20)} rounds a repetition and case after "
        f"{_WARM_UP} to warm up; garbage collection off. {plan.repetitions} interleaved repetitions, each on a fresh "
        "server: medians over them, and the range of the medians; ratios are medians of the ratios within a "
        "repetition. p99 is over the rounds of a repetition. Processes are pinned, because the kernel's choice of "
        "cores would outweigh all else.",
        [_table(case, placement, found) for case in _CASES for placement in PLACEMENTS],
        [f"Expected in batches of 20, {PLACEMENTS['together']}: at most {_EXPECTED} x raw; {times:.2f} is {verdict}."],
    )


def _measure(server: Server, plan: Plan) -> Figures:
    rounds = plan.size(200, 20)
    figures: Figures = {}
    for placement in PLACEMENTS:
        server.ask(placement)
        server.ask("rounds", rounds=_WARM_UP, batch=20)
        for case, job in {
            "batch of 20": partial(server.ask, "rounds", rounds=rounds, batch=20),
            "batch of 100": partial(server.ask, "rounds", rounds=rounds, batch=100),
            "alone": partial(server.ask, "paced", count=rounds, pause_us=1000),
        }.items():
            figures[f"{case}, {placement}"] = job()["ns"]
    return figures


def _middle(case: str, figures: Figures) -> float:
    return median(figures[case])


def _tail(case: str, figures: Figures) -> float:
    return percentile(figures[case], 99)


def _table(case: str, placement: Placement, found: dict[str, list[Figures]]) -> Table:
    key = f"{case}, {placement}"
    middles, tails = each(found, partial(_middle, key)), each(found, partial(_tail, key))
    rows = [
        [name, *spread(values, 1000), spread(tails[name], 1000)[0], f"{ratio(values, middles[RAW.name]):.2f}"]
        for name, values in middles.items()
    ]
    caption = f"{_CASES[case]}; {PLACEMENTS[placement]}:"
    return Table(caption, ["peer", "µs, median", "range", "µs, p99", "x raw"], rows)
