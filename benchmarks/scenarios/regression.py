"""Signals of the working copy, compared with those of an earlier commit."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median

from lib.earlier_version import BASELINE, baseline
from lib.repetitions import Plan, percentile, ratio
from lib.report import Report, Table, Target, spread
from lib.servers import Server, local_server

_TARGET = 0.97
"""Target for each rate, relative to that of the earlier commit."""

_ALTERNATIONS = 4
"""Measurements of each server, in turn, in a repetition."""

_NOW, _BEFORE = "working copy", f"commit {BASELINE}"

_RATES = {
    "send": "sends/s, in batches of 20, all processes on one core",
    "flood": "handled/s, to one mule, the sender on a core of its own",
    "pool": 'handled/s, to two mules (target "mule"), not pinned',
    "latency": "1/latency p50, per second, all processes on one core",
    "latency_apart": "1/latency p50, per second, the sender on a core of its own",
}

Rates = dict[str, list[float]]


def run(plan: Plan) -> Report:
    """Measure both versions in turn. Raises `Skipped` if the clone does not have the earlier commit."""
    found: dict[str, Rates] = {name: {rate: [] for rate in _RATES} for name in (_NOW, _BEFORE)}
    with baseline() as source:
        for repetition in range(plan.repetitions):
            _repetition(plan, source, found, reverse=repetition % 2 == 1)
    tables = [_table(rate, found) for rate in _RATES]
    targets = [Target(text, _TARGET, _ratio(rate, found), at_least=True) for rate, text in _RATES.items()]
    return Report("Signals, compared with an earlier commit", _method(plan), tables, targets)


def _method(plan: Plan) -> str:
    return (
        "`heliograph run` with one mule and with two, with the package of the working copy and with that of the "
        f"earlier commit. The servers run at the same time and are measured in turn, {_ALTERNATIONS} times in each of "
        f"{plan.repetitions} repetitions, while the others are idle. The tables show the median and the range. Ratios "
        "are medians of the ratios within a turn."
    )


def _repetition(plan: Plan, source: Path, found: dict[str, Rates], *, reverse: bool) -> None:
    with ExitStack() as stack:
        start = stack.enter_context
        servers = {
            name: (start(local_server(1, version)), start(local_server(2, version)))
            for name, version in ((_NOW, None), (_BEFORE, source))
        }
        for _ in range(_ALTERNATIONS):
            for name in sorted(servers, reverse=reverse):
                for rate, value in _measure(*servers[name], plan).items():
                    found[name][rate].append(value)


def _measure(server: Server, two_mules: Server, plan: Plan) -> dict[str, float]:
    count = plan.size(30_000, 2_000)
    server.run_job("same_core")
    costs = server.run_job("batches", count=plan.size(200, 20), batch=20)["ns"]
    waits = server.run_job("latency", count=plan.size(500, 50))["ns"]
    server.run_job("separate_cores")
    waits_apart = server.run_job("latency", count=plan.size(500, 50))["ns"]
    one = server.run_job("flood", count=count, window=0, to=0)
    pool = two_mules.run_job("flood", count=count, window=0, to=1)
    return {
        "send": 1e9 / median(costs),
        "flood": count / one["all_ns"][0] * 1e9,
        "pool": count / pool["all_ns"][0] * 1e9,
        "latency": 1e9 / percentile(waits, 50),
        "latency_apart": 1e9 / percentile(waits_apart, 50),
    }


def _table(rate: str, found: dict[str, Rates]) -> Table:
    rows = [[name, *spread(rates[rate], 1, 0)] for name, rates in found.items()]
    return Table(f"{_RATES[rate]}:", ["version", "per second", "range"], rows)


def _ratio(rate: str, found: dict[str, Rates]) -> float:
    return round(ratio(found[_NOW][rate], found[_BEFORE][rate]), 3)
