"""Requests per second of web servers: alone, with heliograph, and while their workers handle signals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from lib import wrk
from lib.cpu_affinity import Placement, placed
from lib.process_usage import METHOD, Usage, since, total, usage, watch
from lib.repetitions import Plan, ratio
from lib.report import Report, Skipped, Table, Target, spread
from lib.web_app import RATE
from lib.webservers import (
    WEB_SERVERS,
    WORKERS,
    PlainWebServer,
    RunningWebServer,
    Variant,
    WebServer,
    missing,
    versions,
    web_server,
)

_VARIANTS: tuple[Variant, ...] = ("alone", "with heliograph", "a bare thread", "with signals", "coalesced signals")
_SENDING = ("a bare thread", "with signals", "coalesced signals")
_PLACEMENTS: dict[Placement, str] = {
    "separate_cores": "all server processes on one core, wrk and the sender on another",
    "unpinned": "not pinned",
}

_COMPARED: tuple[tuple[Variant, Variant], ...] = (
    ("with signals", "a bare thread"),
    ("coalesced signals", "with heliograph"),
)
_TARGET = 0.97
"""Target for the request rate of the first variant, relative to the second."""

_NOTES = [
    "A bare thread does the least that calls the function. In gevent workers it is a greenlet.",
    "wrk asks uvicorn to close connections. With keep-alive, Nagle's algorithm delays a page in two pieces by 40 ms.",
    "gunicorn sync always closes connections.",
]

_WARM_UP, _LEAD = 1, 0.3
"""Seconds of requests as warm-up, and of signals before the requests start."""
_IDLE_TIME = 3
"""Seconds until kept-alive connections are closed and the work of the start is over."""
_EXTRA = 2
"""Seconds that the signals continue after the requests."""


class Run(NamedTuple):
    """One server under load."""

    load: wrk.Load
    cpu_ns: float
    """CPU nanoseconds of all server processes per request."""
    signals: float
    """Signals sent per second during the load."""


Runs = dict[tuple[str, Variant, Placement], list[Run]]


def run(plan: Plan) -> Report:
    """Start every server anew for each repetition. Raises `Skipped` if a program is not installed."""
    wrk.find()
    if missing():
        raise Skipped(f"{', '.join(missing())} not found next to this Python. Install heliograph[servers].")
    seconds = plan.size(3, 1)
    found = _measure_all(plan, seconds)
    tables = {placement: _table(found, placement) for placement in _PLACEMENTS}
    return Report(
        "Web servers that handle signals",
        _method(plan),
        [*tables.values(), _idle(plan)],
        [
            *(
                _target(found, server, placement, *compared)
                for compared in _COMPARED
                for placement in _PLACEMENTS
                for server in WEB_SERVERS
            ),
        ],
        _NOTES,
    )


def _method(plan: Plan) -> str:
    seconds = plan.size(3, 1)
    return (
        f"{versions()}, {WORKERS} processes each (gthread: 4 threads each). Each request builds a JSON page of 1 "
        "KB. Alone: the application with its signals, but without a heliograph server. With heliograph: "
        f"`heliograph run --mules 1 -- COMMAND`, no signals. With signals: the mule sends {RATE:,} signals per "
        "second to `workers`, and each worker handles each of them, which replaces an entry of a dict. A run "
        "fails unless `heliograph signals --json` shows that all signals were sent, handled once in each worker, "
        "and that no handler failed. Coalesced signals: the same with `coalesce=True`. A bare thread: the server "
        "alone, with a thread in each worker that reads a pipe and calls the same function, and a process that "
        "writes to these pipes as the mule sends. "
        f"`wrk -t1 -c{wrk.CONNECTIONS} -d{seconds}s --latency` after a second of "
        f"warm-up. {plan.repetitions} repetitions, each with fresh servers of all variants, which are measured in "
        "turn while the others are idle. The tables show the median and the range. Ratios are medians of the "
        "ratios within a repetition."
    )


def _measure_all(plan: Plan, seconds: int) -> Runs:
    found: Runs = {}
    for _ in range(plan.repetitions):
        for server in WEB_SERVERS:
            with ExitStack() as stack:
                servers = _start(stack, server, seconds + _EXTRA, _VARIANTS)
                for placement in _PLACEMENTS:
                    for variant, running in servers.items():
                        measured = _measure(running, server, variant, placement, seconds)
                        found.setdefault((server.name, variant, placement), []).append(measured)
    return found


def _start(
    stack: ExitStack, server: WebServer, signals: int, variants: Sequence[Variant]
) -> dict[Variant, RunningWebServer]:
    """Start all variants at once. Those that are not measured are idle. `signals` is a duration in seconds."""
    servers = {variant: stack.enter_context(web_server(server, signals, variant)) for variant in variants}
    for running in servers.values():
        wrk.load(running.port, _WARM_UP, close=server.closes)
    return servers


def _measure(running: RunningWebServer, server: WebServer, variant: Variant, placement: Placement, seconds: int) -> Run:
    with placed(running.processes, placement, running.senders):
        if variant in _SENDING:
            return _load_and_signals(running, server, seconds)
        return _load(running, server, seconds)


def _load(running: RunningWebServer, server: WebServer, seconds: int) -> Run:
    pids = running.processes
    before = total(map(usage, pids))
    load = wrk.load(running.port, seconds, close=server.closes)
    return Run(load, since(before, total(map(usage, pids))).cpu_ns / load.requests, 0.0)


def _load_and_signals(running: RunningWebServer, server: WebServer, seconds: int) -> Run:
    start = running.start_signals()
    time.sleep(_LEAD)
    before = running.counts()
    run = _load(running, server, seconds)
    after = running.counts()
    running.finish_signals(start, (seconds + _EXTRA) * RATE)
    if isinstance(running, PlainWebServer):
        return run._replace(signals=RATE)
    if after.paced > start.paced:
        raise RuntimeError("the mule stopped sending before the requests ended")
    return run._replace(signals=(after.sent - before.sent) / (after.at - before.at))


def _table(found: Runs, placement: Placement) -> Table:
    rows: list[list[str]] = []
    for server in WEB_SERVERS:
        alone = found[server.name, "alone", placement]
        rows += [[_row(server, v), *_cells(found[server.name, v, placement], alone)] for v in _VARIANTS]
    columns = ["", "requests/s", "range", "x alone", "ms, p50", "ms, p99", "CPU, µs", "x alone", "signals/s"]
    caption = f"Requests, and CPU time of all server processes per request; {_PLACEMENTS[placement]}:"
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


def _target(found: Runs, server: WebServer, placement: Placement, variant: Variant, other: Variant) -> Target:
    where = "on one core" if placement == "separate_cores" else _PLACEMENTS[placement]
    runs, reference = (found[server.name, compared, placement] for compared in (variant, other))
    cpu = ratio([run.cpu_ns for run in runs], [run.cpu_ns for run in reference])
    measured = ratio([run.load.rate for run in runs], [run.load.rate for run in reference])
    metric = f"{server.name}, {variant} x {other}, {where}"
    return Target(metric, _TARGET, round(measured, 2), at_least=True, context=f"CPU per request x {cpu:.2f}")


def _idle(plan: Plan) -> Table:
    """Measure what the workers use without requests."""
    seconds, repetitions = plan.size(5, 1), min(plan.repetitions, 3)
    found: dict[str, list[Usage]] = {}
    for _ in range(repetitions):
        with ExitStack() as stack:
            workers = _workers(stack, seconds)
            time.sleep(_IDLE_TIME)
            spent = watch([pid for pids in workers.values() for pid in pids], seconds)
        for name, pids in workers.items():
            found.setdefault(name, []).append(total(spent[pid] for pid in pids))
    rows = [[name, *_uses(uses)] for name, uses in found.items()]
    columns = ["workers", "voluntary", "range", "involuntary", "range", "CPU, ms", "range"]
    caption = f"The {WORKERS} workers without requests, {seconds} s, {repetitions} repetitions: {METHOD}:"
    return Table(caption, columns, rows)


def _workers(stack: ExitStack, signals: int) -> dict[str, list[int]]:
    """Return the worker processes of servers that have answered requests, by table row."""
    return {
        _row(server, variant): running.workers(joined=variant != "alone")
        for server in WEB_SERVERS
        for variant, running in _start(stack, server, signals, _VARIANTS[:2]).items()
    }


def _uses(uses: Sequence[Usage]) -> list[str]:
    return [
        *spread([use.voluntary for use in uses], 1, 0),
        *spread([use.involuntary for use in uses], 1, 0),
        *spread([use.cpu_ns for use in uses], 1e6),
    ]
