"""The cost of a send for the sender in microseconds, while the queue is empty."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import NamedTuple

from lib.cpu_affinity import PLACEMENTS, Placement
from lib.load_generators import Figures
from lib.peers import BARE, HELIOGRAPH, LOCAL, RAW, SIGNAL_PEERS
from lib.repetitions import Case, Plan, each, interleave, percentile, ratio
from lib.report import Report, Table, Target, spread
from lib.servers import FLAGS, Server

_ON_UWSGI, _LOCAL = 1.5, 0.6
"""Targets relative to raw uWSGI: heliograph on uWSGI in the first case, and the heliograph server."""

_RATIO = -1
"""Table column of the ratios."""


class SendCase(NamedTuple):
    """Time `batch` sends together. A batch of 1 is a single send, a millisecond after the previous one."""

    batch: int
    placement: Placement
    mules: int = 1

    @property
    def caption(self) -> str:
        """Caption of the table."""
        what = f"Batches of {self.batch}, queue empty before each"
        if self.batch == 1:
            what = "Single sends, one per millisecond, with cold caches and a sleeping receiver"
        mules = f"; {self.mules} mules, one of which receives" if self.mules > 1 else ""
        return f"{what}; {PLACEMENTS[self.placement]}{mules}:"

    def measure(self, server: Server, batches: int) -> list[float]:
        """Return the nanoseconds per send for each batch."""
        server.run_job(self.placement)
        server.run_job("batches", count=_WARM_UP, batch=20)
        if self.batch == 1:
            return server.run_job("paced", count=batches, pause_us=1000)["ns"]
        return server.run_job("batches", count=batches, batch=self.batch)["ns"]


_PINNED: tuple[Placement, ...] = ("same_core", "separate_cores")
_SMALL = (*(SendCase(batch, placement) for batch in (20, 100, 1) for placement in _PINNED), SendCase(1, "unpinned"))
_LARGE = (SendCase(20, "same_core", mules=7),)
"""A server with nine processes, to show costs that depend on their number."""

_WARM_UP = 20


def run(plan: Plan) -> Report:
    """Measure all peers in all cases."""
    batches = plan.size(200, 20)
    tables = [*_tables(plan, batches, _SMALL), *_tables(plan, batches, _LARGE)]
    return Report(
        "Cost of a send",
        _method(plan),
        tables,
        [
            Target("heliograph on uWSGI x raw, first table", _ON_UWSGI, tables[0].figure(HELIOGRAPH.name, _RATIO)),
            *(_target(table) for table in tables),
        ],
    )


def _method(plan: Plan) -> str:
    return (
        f"uWSGI with {' '.join(FLAGS)} --mules 1 (or 7) and default buffers. In a request, a worker calls "
        f"`send(signal)` in the same loop for all peers, to one mule that counts. {plan.size(200, 20)} batches per "
        f"repetition and case after {_WARM_UP} as warm-up. Garbage collection is off. {plan.repetitions} "
        "interleaved repetitions, each on a fresh server. The tables show the median over the repetitions and the "
        "range of their medians. Ratios are medians of the ratios within a repetition. p99 is over the batches of "
        "a repetition. The captions say where processes are pinned, because the kernel's choice of cores would "
        "affect the cost more than anything else. The bare pipe is the baseline: `os.write` in one Python "
        "process, `os.read` in another, no server, one record at a time."
    )


def _target(table: Table) -> Target:
    ours, bare = (table.figure(peer.name, _RATIO) for peer in (LOCAL, BARE))
    return Target(f"heliograph local x raw: {table.caption[:-1]}", _LOCAL, ours, context=f"bare pipe: {bare:g}")


def _tables(plan: Plan, batches: int, cases: tuple[SendCase, ...]) -> list[Table]:
    """Return one table per case. All cases have the same number of mules and share the servers."""

    def measure(server: Server) -> Figures:
        return {case.caption: case.measure(server, batches) for case in cases}

    servers = [Case(peer.name, peer, measure, cases[0].mules) for peer in (*SIGNAL_PEERS, BARE)]
    found = interleave(servers, plan.repetitions)
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
