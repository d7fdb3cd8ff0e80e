"""What a send costs its sender while nothing presses: microseconds."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import NamedTuple

from lib.cpu_affinity import PLACEMENTS, Placement
from lib.load_generators import Figures
from lib.peers import BARE, HELIOGRAPH, LOCAL, RAW, SIGNAL_PEERS
from lib.repetitions import Case, Plan, each, interleave, percentile, ratio
from lib.report import Report, Table, spread, verdict
from lib.servers import FLAGS, Server

_ON_UWSGI, _LOCAL = 1.5, 0.6
"""Times raw uWSGI that heliograph may cost: on uWSGI, in the first case; on its own server."""

_TIMES = -1
"""Column of the ratios."""


class SendCase(NamedTuple):
    """`batch` sends at a time, timed together; 1 is alone, a millisecond after the last."""

    batch: int
    placement: Placement
    mules: int = 1

    @property
    def caption(self) -> str:
        """What stands above the table."""
        what = f"Batches of {self.batch}, the queue empty before each"
        if self.batch == 1:
            what = "One send a millisecond, each timed alone, so with cold caches and a receiver to wake"
        mules = f"; {self.mules} mules, of which one receives" if self.mules > 1 else ""
        return f"{what}; {PLACEMENTS[self.placement]}{mules}:"

    def measure(self, server: Server, rounds: int) -> list[float]:
        """Nanoseconds a send, for each round."""
        server.ask(self.placement)
        server.ask("rounds", rounds=_WARM_UP, batch=20)
        if self.batch == 1:
            return server.ask("paced", count=rounds, pause_us=1000)["ns"]
        return server.ask("rounds", rounds=rounds, batch=self.batch)["ns"]


_PINNED: tuple[Placement, ...] = ("together", "apart")
_SMALL = (*(SendCase(batch, placement) for batch in (20, 100, 1) for placement in _PINNED), SendCase(1, "free"))
_LARGE = (SendCase(20, "together", mules=7),)
"""A server of nine processes: what depends on their number shows."""

_WARM_UP = 20


def run(plan: Plan) -> Report:
    """Measure all peers in all cases."""
    rounds = plan.size(200, 20)
    tables = [*_tables(plan, rounds, _SMALL), *_tables(plan, rounds, _LARGE)]
    return Report(
        "Cost of a send",
        f"uWSGI with {' '.join(FLAGS)} --mules 1 (or 7) and default buffers; a worker runs `send(what)` in the same "
        f"loop for all, from a request, to one mule that counts. {rounds} rounds a repetition and case after "
        f"{_WARM_UP} to warm up; garbage collection off. {plan.repetitions} interleaved repetitions, each on a fresh "
        "server: medians over them, and the range of the medians; ratios are medians of the ratios within a "
        "repetition. p99 is over the rounds of a repetition. Processes are pinned where it is said, "
        "because the kernel's choice of cores would outweigh all else. The bare pipe is a yardstick: `os.write` in one "
        "Python process, `os.read` in another, no server, a record at a time.",
        tables,
        [
            verdict("first table, heliograph on uWSGI x raw", tables[0].figure(HELIOGRAPH.name, _TIMES), _ON_UWSGI),
            *(_goal(table) for table in tables),
        ],
    )


def _goal(table: Table) -> str:
    ours, bare = (table.figure(peer.name, _TIMES) for peer in (LOCAL, BARE))
    return verdict(f"heliograph local x raw ({table.caption[:-1]})", ours, _LOCAL, beside=f"a bare pipe: {bare:g}")


def _tables(plan: Plan, rounds: int, cases: tuple[SendCase, ...]) -> list[Table]:
    """One table a case; all cases are of the same number of mules and share the servers."""

    def measure(server: Server) -> Figures:
        return {case.caption: case.measure(server, rounds) for case in cases}

    contestants = [Case(peer.name, peer, measure, cases[0].mules) for peer in (*SIGNAL_PEERS, BARE)]
    found = interleave(contestants, plan.repetitions)
    return [_table(case.caption, found) for case in cases]


def _table(caption: str, found: dict[str, list[Figures]]) -> Table:
    middles, tails = each(found, partial(_middle, caption)), each(found, partial(_tail, caption))
    rows = [
        [name, *spread(values, 1000), spread(tails[name], 1000)[0], f"{ratio(values, middles[RAW.name]):.2f}"]
        for name, values in middles.items()
    ]
    return Table(caption, ["peer", "µs, median", "range", "µs, p99", "x raw"], rows)


def _middle(caption: str, figures: Figures) -> float:
    return median(figures[caption])


def _tail(caption: str, figures: Figures) -> float:
    return percentile(figures[caption], 99)
