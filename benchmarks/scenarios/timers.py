"""Timers: how late they fire, and the cost of timers that wait."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lib.repetitions import Plan, percentile
from lib.report import Report, Table, Target, spread
from lib.timer_app import Timers, resident_kb
from lib.timer_servers import LOCAL, ON_UWSGI, RAW, TimerPeer, TimerServer, timer_server, wait_for

_FEW = (1, 64)
_JITTER = ["p50", "range", "p99", "range", "max"]
_IDLE = 10_000
_MANY = 100_000


_NOTES = [
    "The one mule handles timers that are due at the same time one after another.",
    "uwsgi.add_timer is limited to 64 timers and whole seconds.",
]


def run(plan: Plan) -> Report:
    """Measure all peers with few timers, and the heliograph server with many."""
    repetitions = min(plan.repetitions, 3)
    seconds = plan.size(10, 2)
    idle, switches = _idle(plan)
    return Report(
        "Timers",
        _method(plan),
        [_few(repetitions, seconds), _many(plan, repetitions, seconds), idle, _registering(plan)],
        [
            Target(f"context switches of the master with {_IDLE:,} waiting timers", 0, switches),
        ],
        _NOTES,
    )


def _method(plan: Plan) -> str:
    return (
        "One worker and one mule. Handlers record when they start. `--processes 1 --mules 1` and default buffers "
        f"with uwsgi.add_timer, `heliograph run --mules 1` for the others. {min(plan.repetitions, 3)} interleaved "
        f"repetitions of at least {plan.size(10, 2)} s, each on a fresh server. The tables show the median and the "
        "range. The lateness of a tick is the time from when it was due (start + k x period) to the first line of "
        "the handler in the mule. uWSGI does not report when a timer was started. The first table therefore uses "
        "the earliest tick of each timer as its start, for all peers, so it shows how regular the ticks are. The "
        "second table uses the start that the master reports."
    )


def _few(repetitions: int, seconds: float) -> Table:
    cases = [(peer, Timers(n, 1.0, signals=n)) for n in _FEW for peer in (RAW, ON_UWSGI, LOCAL)]
    found: dict[str, list[list[float]]] = {}
    ticks: dict[str, int] = {}
    for _ in range(repetitions):
        for peer, timers in cases:
            name = f"{timers.count} x 1 s, {peer.name}"
            late = _unevenness(peer, timers, seconds)
            found.setdefault(name, []).append(late)
            ticks[name] = ticks.get(name, 0) + len(late)
    rows = [[name, f"{ticks[name]:,}", *_percentiles(late)] for name, late in found.items()]
    return Table(
        "Lateness relative to the earliest tick of each timer, ms; one signal per timer:", ["", "ticks", *_JITTER], rows
    )


def _unevenness(peer: TimerPeer, timers: Timers, seconds: float) -> list[float]:
    with timer_server(peer, timers) as server:
        wait_for(lambda: server.ticks().by_signal or None)
        time.sleep(seconds)
        found = server.ticks().by_signal
    late: list[float] = []
    for times in found.values():
        offsets = [at - round((at - times[0]) / timers.period) * timers.period for at in times]
        late += [offset - min(offsets) for offset in offsets]
    return late


class _Late(NamedTuple):
    """Lateness (seconds) and rate (ticks per second) of one heliograph server."""

    late: list[float]
    rate: float


def _many(plan: Plan, repetitions: int, seconds: float) -> Table:
    sizes = [Timers(1, 0.1), Timers(1000, 1.0, spread=True), Timers(10_000, 10.0, spread=True)]
    if plan.quick:
        sizes = [Timers(1, 0.1), Timers(500, 1.0, spread=True)]
    each = [Timers(size.count, size.period, size.spread, coalesce=False) for size in sizes]
    runs = [[_lateness(timers, seconds) for timers in each] for _ in range(repetitions)]
    rows: list[list[str]] = []
    for place, timers in enumerate(sizes):
        found = [repetition[place] for repetition in runs]
        to = f" to {2 * timers.period:g}" if timers.spread else ""
        name = f"{timers.count:,} x {timers.period:g}{to} s"
        rate = f"{median(one.rate for one in found):,.0f}"
        rows.append([name, rate, *_percentiles([one.late for one in found]), _missed(timers, seconds)])
    caption = (
        "heliograph local, lateness, ms; all timers send one signal, and every tick is handled. Missed: ticks that "
    )
    caption += "were skipped because one was queued, with `coalesce=True` (the default):"
    return Table(caption, ["timers", "ticks/s", *_JITTER, "missed"], rows)


def _lateness(timers: Timers, seconds: float) -> _Late:
    """Compare the n-th handled tick with the n-th due time: there is one queue, and no tick is skipped."""
    with timer_server(LOCAL, timers) as server:
        start = wait_for(server.first_run) - timers.period
        _sleep_until(start + timers.period + seconds)
        times = server.ticks().by_signal[0]
    late = [at - due for at, due in zip(times, _due_times(timers, start), strict=False)]
    return _Late(late, (len(times) - 1) / (times[-1] - times[0]))


def _missed(timers: Timers, seconds: float) -> str:
    with timer_server(LOCAL, timers) as server:
        start = wait_for(server.first_run) - timers.period
        _sleep_until(start + timers.period + seconds)
        fired, missed = server.missed()
    return f"{missed / fired:.2%}"


def _due_times(timers: Timers, start: float) -> Iterator[float]:
    return heapq.merge(*(itertools.count(start + p, p) for p in map(timers.period_of, range(timers.count))))


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _percentiles(repetitions: Sequence[Sequence[float]]) -> list[str]:
    cells = [cell for percent in (50, 99) for cell in spread([percentile(r, percent) for r in repetitions], 1e-3, 3)]
    return [*cells, f"{max(map(max, repetitions)) * 1000:,.1f}"]


def _idle(plan: Plan) -> tuple[Table, int]:
    """Return the table, and how often the master woke up with many waiting timers."""
    seconds = plan.size(10, 2)
    rows: list[list[str]] = []
    for count in (1, _IDLE):
        with timer_server(LOCAL, Timers(count, 3600.0)) as server:
            wait_for(server.first_run)
            time.sleep(1)  # wait until the work of the start is over
            before = _usage(server)
            time.sleep(seconds)
            spent = [now - then for now, then in zip(_usage(server), before, strict=True)]
        rows.append([f"{count:,} x 1 h", *(f"{number:,}" for number in spent[:3]), f"{spent[3] / 1e6:.2f}"])
    columns = ["timers", "voluntary switches", "involuntary", "CPU ticks", "CPU, ms"]
    return Table(f"The master while all timers wait, {seconds} s:", columns, rows), int(rows[-1][1].replace(",", ""))


def _usage(server: TimerServer) -> list[int]:
    """Return the context switches, CPU ticks (1/100 s) and CPU nanoseconds of the master, which has one thread."""
    proc = Path(f"/proc/{server.pid}")
    facts = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    user, system = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
    on_cpu = int((proc / "schedstat").read_text().split()[0])
    names = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
    return [*(int(facts[name]) for name in names), int(user) + int(system), on_cpu]


def _registering(plan: Plan) -> Table:
    rows: list[list[str]] = []
    for count in (1, plan.size(_MANY // 10, 100), plan.size(_MANY, 10_000)):
        before = time.monotonic()
        with timer_server(LOCAL, Timers(count, 3600.0)) as server:
            wait_for(server.first_run)
            up = time.monotonic() - before
            seconds, growth = server.registration()
            cells = [f"{seconds:.2f}", f"{up:.2f}", f"{growth / 1024:,.1f}", f"{resident_kb(server.pid) / 1024:,.1f}"]
        rows.append([f"{count:,}", *cells])
    columns = ["timers", "s to register", "s until all are scheduled", "application growth, MB", "master RSS, MB"]
    return Table("heliograph local, registration of hourly timers:", columns, rows)
