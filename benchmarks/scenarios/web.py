"""What signals cost a web server: requests a second alone, beside heliograph, and while its workers handle signals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal, NamedTuple

from lib import wrk
from lib.cpu_affinity import Placement, placed
from lib.process_usage import METHOD, Usage, since, total, usage, watch
from lib.repetitions import Plan, ratio
from lib.report import Report, Skipped, Table, spread, verdict
from lib.web_app import RATE
from lib.webservers import WEB_SERVERS, WORKERS, Serving, WebServer, missing, serving, versions

Variant = Literal["alone", "beside heliograph", "with signals"]

_VARIANTS: tuple[Variant, ...] = ("alone", "beside heliograph", "with signals")
_PLACEMENTS: dict[Placement, str] = {
    "apart": "the server and all that belongs to it on one core, wrk on another",
    "free": "not pinned",
}

_GOAL = 0.9
"""Of the requests that the server answers alone."""

_CLOSING = (
    "uvicorn is asked to close each connection: while it keeps them, a page of two pieces waits 40 ms for the client's "
    "acknowledgement (Nagle's algorithm), and nothing else is measured. gunicorn sync always closes."
)

_WARM_UP, _LEAD = 1, 0.3
"""Seconds of requests before all, and of signals before the requests."""
_CALM = 3
"""Seconds until kept connections are closed, and what starting leaves behind is over."""
_SPARE = 2
"""Seconds that signals go on for when the requests are over."""


class Run(NamedTuple):
    """One server under load."""

    load: wrk.Load
    cpu_ns: float
    """Of all processes of the server, for each request."""
    signals: float
    """Raised a second, meanwhile."""


Runs = dict[tuple[str, Variant, Placement], list[Run]]


def run(plan: Plan) -> Report:
    """Start every server anew for each repetition. Raises `Skipped` where something is not installed."""
    wrk.find()
    if missing():
        raise Skipped(f"{', '.join(missing())} not found beside this Python; install heliograph[servers]")
    seconds = plan.size(3, 1)
    found = _rounds(plan, seconds)
    tables = {placement: _table(found, placement) for placement in _PLACEMENTS}
    return Report(
        "Signals beside requests",
        f"{versions()}; {WORKERS} processes each (gthread: of 4 threads), a page of JSON, 1 KB, made for each "
        "request. Alone: the application with its signals and no server for them. Beside heliograph: `heliograph run "
        f"--mules 1 -- COMMAND`, no signals. With signals: the mule raises {RATE:,} a second to `workers`, each worker "
        "handles each, and replaces a dict's entry; a run fails if not all were sent, handled once in each worker, and "
        f"none failed, by what `heliograph signals --json` says. `wrk -t1 -c{wrk.CONNECTIONS} -d{seconds}s "
        f"--latency` after a second to warm up. {plan.repetitions} repetitions, each with fresh servers of all "
        "variants, asked in turn while the others sleep: medians over them, and their range; ratios are medians of the "
        "ratios within a repetition.",
        [*tables.values(), _idle(plan)],
        [
            *(_verdict(tables[placement], server, placement) for placement in _PLACEMENTS for server in WEB_SERVERS),
            "On one core the server pays for all: the mule that raises signals, and the threads that handle them.",
            _CLOSING,
        ],
    )


def _rounds(plan: Plan, seconds: int) -> Runs:
    found: Runs = {}
    for _ in range(plan.repetitions):
        for server in WEB_SERVERS:
            with ExitStack() as stack:
                hosts = _start(stack, server, seconds + _SPARE, _VARIANTS)
                for placement in _PLACEMENTS:
                    for variant, host in hosts.items():
                        measured = _measure(host, server, variant, placement, seconds)
                        found.setdefault((server.name, variant, placement), []).append(measured)
    return found


def _start(stack: ExitStack, server: WebServer, signals: int, variants: Sequence[Variant]) -> dict[Variant, Serving]:
    """All variants at once: those that are not asked have nothing to do. `signals` is in seconds."""
    hosts = {variant: stack.enter_context(serving(server, signals, beside=variant != "alone")) for variant in variants}
    for host in hosts.values():
        wrk.load(host.port, _WARM_UP, close=server.closes)
    return hosts


def _measure(host: Serving, server: WebServer, variant: Variant, placement: Placement, seconds: int) -> Run:
    with placed(host.processes, placement):
        if variant == "with signals":
            return _load_and_signals(host, server, seconds)
        return _load(host, server, seconds)


def _load(host: Serving, server: WebServer, seconds: int) -> Run:
    pids = host.processes
    before = total(map(usage, pids))
    load = wrk.load(host.port, seconds, close=server.closes)
    return Run(load, since(before, total(map(usage, pids))).cpu_ns / load.requests, 0.0)


def _load_and_signals(host: Serving, server: WebServer, seconds: int) -> Run:
    start = host.begin_signals()
    time.sleep(_LEAD)
    before = host.counts()
    run = _load(host, server, seconds)
    after = host.counts()
    host.end_signals(start, (seconds + _SPARE) * RATE)
    if after.paced > start.paced:
        raise RuntimeError("the signals were over before the requests")
    return run._replace(signals=(after.sent - before.sent) / (after.at - before.at))


def _table(found: Runs, placement: Placement) -> Table:
    rows: list[list[str]] = []
    for server in WEB_SERVERS:
        alone = found[server.name, "alone", placement]
        rows += [[_row(server, v), *_cells(found[server.name, v, placement], alone)] for v in _VARIANTS]
    columns = ["", "requests/s", "range", "x alone", "ms, p50", "ms, p99", "CPU, µs", "x alone", "signals/s"]
    caption = f"Requests, and CPU time of all the server's processes for each; {_PLACEMENTS[placement]}:"
    return Table(caption, columns, rows)


def _cells(runs: Sequence[Run], alone: Sequence[Run]) -> list[str]:
    rates, costs = [run.load.rate for run in runs], [run.cpu_ns for run in runs]
    return [
        *(*spread(rates, 1, 0), f"{ratio(rates, [run.load.rate for run in alone]):.2f}"),
        *(spread([run.load.p50 for run in runs])[0], spread([run.load.p99 for run in runs])[0]),
        *(spread(costs, 1000, 0)[0], f"{ratio(costs, [run.cpu_ns for run in alone]):.2f}"),
        spread([run.signals for run in runs], 1, 0)[0],
    ]


def _row(server: WebServer, variant: Variant) -> str:
    return f"{server.name}, {variant}"


def _verdict(table: Table, server: WebServer, placement: Placement) -> str:
    where = "on one core" if placement == "apart" else _PLACEMENTS[placement]
    row = _row(server, "with signals")
    what = f"{server.name} with {RATE:,} signals/s x alone, {where}"
    cpu = f"CPU for each request x {table.figure(row, 7):g}"
    return verdict(what, table.figure(row, 3), _GOAL, at_least=True, beside=cpu)


def _idle(plan: Plan) -> Table:
    """What the workers use while nobody asks for anything."""
    seconds, repetitions = plan.size(5, 1), min(plan.repetitions, 3)
    found: dict[str, list[Usage]] = {}
    for _ in range(repetitions):
        with ExitStack() as stack:
            workers = _workers(stack, seconds)
            time.sleep(_CALM)
            spent = watch([pid for pids in workers.values() for pid in pids], seconds)
        for name, pids in workers.items():
            found.setdefault(name, []).append(total(spent[pid] for pid in pids))
    rows = [[name, *_uses(uses)] for name, uses in found.items()]
    columns = ["workers", "voluntary", "range", "involuntary", "range", "CPU, ms", "range"]
    caption = f"The {WORKERS} workers while nothing comes, in {seconds} s, {repetitions} repetitions: {METHOD}:"
    return Table(caption, columns, rows)


def _workers(stack: ExitStack, signals: int) -> dict[str, list[int]]:
    """Processes of servers that have answered requests, by the name of the row."""
    return {
        _row(server, variant): host.workers(joined=variant != "alone")
        for server in WEB_SERVERS
        for variant, host in _start(stack, server, signals, _VARIANTS[:2]).items()
    }


def _uses(uses: Sequence[Usage]) -> list[str]:
    return [
        *spread([use.voluntary for use in uses], 1, 0),
        *spread([use.involuntary for use in uses], 1, 0),
        *spread([use.cpu_ns for use in uses], 1e6),
    ]
