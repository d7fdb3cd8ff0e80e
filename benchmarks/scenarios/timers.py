"""Timers: how far ticks are from their grid, and what timers cost that have nothing to do."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lib.repetitions import Plan, percentile
from lib.report import Report, Table, spread, verdict
from lib.timer_app import Timers, resident_kb
from lib.timer_servers import LOCAL, ON_UWSGI, RAW, Clockwork, Ticking, await_first, ticking

_FEW = (1, 64)
_JITTER = ["p50", "range", "p99", "range", "max"]
_IDLE = 10_000
_MANY = 100_000


def run(plan: Plan) -> Report:
    """Measure the peers at few timers, and our own server at many."""
    repetitions = min(plan.repetitions, 3)
    seconds = plan.size(10, 2)
    idle, switches = _idle(plan)
    return Report(
        "Timers",
        f"One worker and one mule, whose handlers note when they start. `--processes 1 --mules 1` and default buffers "
        f"with uwsgi.add_timer, `heliograph run --mules 1` for the others; {repetitions} interleaved repetitions of "
        f"{seconds} s or more, each on a fresh server: medians, and the range. A tick's lateness is the time from its "
        "place on the grid of start + k x period to the first line of the handler in the other process. uWSGI does "
        "not tell when a timer was started, so in the first table the grid of each timer is laid through its own "
        "earliest tick, for all peers: it shows how evenly they tick. In the second the master is asked for its grid.",
        [_few(repetitions, seconds), _many(plan, repetitions, seconds), idle, _registering(plan)],
        [
            verdict(f"context switches of a master with {_IDLE:,} timers that wait", switches, 0),
            "Timers that are due at the same moment are handled one after another by the one mule.",
            "uwsgi.add_timer has 64 places and whole seconds; more than that cannot be compared.",
        ],
    )


def _few(repetitions: int, seconds: float) -> Table:
    contests = [(clockwork, Timers(n, 1.0, signals=n)) for n in _FEW for clockwork in (RAW, ON_UWSGI, LOCAL)]
    found: dict[str, list[list[float]]] = {}
    ticks: dict[str, int] = {}
    for _ in range(repetitions):
        for clockwork, timers in contests:
            name = f"{timers.count} x 1 s, {clockwork.name}"
            late = _unevenness(clockwork, timers, seconds)
            found.setdefault(name, []).append(late)
            ticks[name] = ticks.get(name, 0) + len(late)
    rows = [[name, f"{ticks[name]:,}", *_percentiles(late)] for name, late in found.items()]
    return Table("Lateness beyond that of a timer's earliest tick, ms; a signal each:", ["", "ticks", *_JITTER], rows)


def _unevenness(clockwork: Clockwork, timers: Timers, seconds: float) -> list[float]:
    with ticking(clockwork, timers) as server:
        await_first(lambda: server.ticks().by_signal or None)
        time.sleep(seconds)
        found = server.ticks().by_signal
    late: list[float] = []
    for times in found.values():
        offsets = [at - round((at - times[0]) / timers.period) * timers.period for at in times]
        late += [offset - min(offsets) for offset in offsets]
    return late


class _Late(NamedTuple):
    """What one server of our own did."""

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
    caption = "heliograph local, lateness, ms; all timers raise one signal, every tick is handled. Missed: ticks left "
    caption += "out because one was waiting, with `coalesce=True` (the default):"
    return Table(caption, ["timers", "ticks/s", *_JITTER, "missed"], rows)


def _lateness(timers: Timers, seconds: float) -> _Late:
    """The n-th handled is the n-th of the grid: there is one queue, and nothing is left out."""
    with ticking(LOCAL, timers) as server:
        start = await_first(server.first_run) - timers.period
        _sleep_until(start + timers.period + seconds)
        times = server.ticks().by_signal[0]
    late = [at - due for at, due in zip(times, _grid(timers, start), strict=False)]
    return _Late(late, (len(times) - 1) / (times[-1] - times[0]))


def _missed(timers: Timers, seconds: float) -> str:
    with ticking(LOCAL, timers) as server:
        start = await_first(server.first_run) - timers.period
        _sleep_until(start + timers.period + seconds)
        fired, missed = server.missed()
    return f"{missed / fired:.2%}"


def _grid(timers: Timers, start: float) -> Iterator[float]:
    return heapq.merge(*(itertools.count(start + p, p) for p in map(timers.period_of, range(timers.count))))


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _percentiles(repetitions: Sequence[Sequence[float]]) -> list[str]:
    cells = [cell for percent in (50, 99) for cell in spread([percentile(r, percent) for r in repetitions], 1e-3, 3)]
    return [*cells, f"{max(map(max, repetitions)) * 1000:,.1f}"]


def _idle(plan: Plan) -> tuple[Table, int]:
    """The table, and how often the master woke up with timers that wait."""
    seconds = plan.size(10, 2)
    rows: list[list[str]] = []
    for count in (1, _IDLE):
        with ticking(LOCAL, Timers(count, 3600.0)) as server:
            await_first(server.first_run)
            time.sleep(1)  # what starting leaves behind is over then
            before = _usage(server)
            time.sleep(seconds)
            spent = [now - then for now, then in zip(_usage(server), before, strict=True)]
        rows.append([f"{count:,} x 1 h", *(f"{number:,}" for number in spent[:3]), f"{spent[3] / 1e6:.2f}"])
    columns = ["timers", "voluntary switches", "involuntary", "CPU ticks", "CPU, ms"]
    return Table(f"The master while all wait, in {seconds} s:", columns, rows), int(rows[-1][1].replace(",", ""))


def _usage(server: Ticking) -> list[int]:
    """Of the master, which has one thread: context switches, CPU ticks (1/100 s), nanoseconds on a CPU."""
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
        with ticking(LOCAL, Timers(count, 3600.0)) as server:
            await_first(server.first_run)
            up = time.monotonic() - before
            took, grown = server.declared()
            cells = [f"{took:.2f}", f"{up:.2f}", f"{grown / 1024:,.1f}", f"{resident_kb(server.pid) / 1024:,.1f}"]
        rows.append([f"{count:,}", *cells])
    columns = ["timers", "s to declare", "s until all are scheduled", "application grows, MB", "master's RSS, MB"]
    return Table("heliograph local, registering timers of an hour:", columns, rows)
