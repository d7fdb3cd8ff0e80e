"""The cost of `import heliograph`, and the modules that it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from statistics import median
from typing import NamedTuple

from lib.repetitions import Plan, ratio
from lib.report import Report, Table, spread

_HELIOGRAPH, _UWSGICONF = "import heliograph", "import uwsgiconf.runtime.signals"
_STATEMENTS = ("pass", _UWSGICONF, _HELIOGRAPH)

_NEVER = ("click", "heliograph.cli", "heliograph.remote", "heliograph.testing", "heliograph.engines.uwsgi")
"""Modules that `import heliograph` must not import, because a process that only sends does not need them."""
_HEAVY = ("asyncio", "multiprocessing", "concurrent.futures", "ssl", "subprocess", "socket", "unittest", "email")
"""Modules of the standard library that are slow to import."""

_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")
_HEAVIEST = 8


class Module(NamedTuple):
    """One line of `-X importtime`: microseconds of the module alone, and with the modules that it imports first."""

    own: float
    whole: float


Trace = dict[str, Module]


def run(plan: Plan) -> Report:
    """Trace the imports, with and without the slow modules."""
    repetitions = 3 * plan.repetitions
    traces: dict[str, list[Trace]] = {statement: [] for statement in _STATEMENTS}
    for _ in range(repetitions):
        for statement in _STATEMENTS:
            traces[statement].append(_trace(statement))
    ours = traces[_HELIOGRAPH]
    brought = set(ours[0]) - set(traces["pass"][0])
    heavy = [name for name in _HEAVY if name in brought]
    notes = [_never(brought)]
    if heavy:
        notes.append(f"Slow modules of the standard library that are imported: {', '.join(heavy)}.")
    return Report(
        "Import time",
        _method(plan),
        [_totals(traces), _heaviest(ours, brought), _without(heavy, ours, repetitions)],
        notes=notes,
    )


def _method(plan: Plan) -> str:
    return (
        "`python -X importtime -c ...`. Microseconds in addition to what Python itself imports. "
        f"{3 * plan.repetitions} interleaved repetitions. The tables show the median and the range. `total` "
        "includes the modules that a module imports first. Tracing slows imports down somewhat. To find the real "
        "cost of a slow module, the import is repeated with an empty module in its place."
    )


def _trace(statement: str) -> Trace:
    command = [sys.executable, "-X", "importtime", "-c", statement]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr
    return {name: Module(float(own), float(whole)) for own, whole, _, name in _LINE.findall(text)}


def _total(trace: Trace) -> float:
    return sum(module.own for module in trace.values())


def _totals(traces: Mapping[str, list[Trace]]) -> Table:
    nothing = [_total(trace) for trace in traces["pass"]]
    costs = {
        statement: [_total(trace) - none for trace, none in zip(traces[statement], nothing, strict=True)]
        for statement in (_UWSGICONF, _HELIOGRAPH)
    }
    rows = [
        [f"`{statement}`", *spread(cost, 1, 0), f"{ratio(cost, costs[_UWSGICONF]):.2f}"]
        for statement, cost in costs.items()
    ]
    return Table("Total:", ["statement", "µs", "range", "x uwsgiconf"], rows)


def _heaviest(traces: list[Trace], brought: Iterable[str]) -> Table:
    costs = {name: _median(traces, name) for name in brought}
    names = sorted(costs, key=lambda name: costs[name].whole, reverse=True)[:_HEAVIEST]
    rows = [[name, f"{costs[name].whole:,.0f}", f"{costs[name].own:,.0f}"] for name in names]
    return Table(f"The slowest {_HEAVIEST} modules of `{_HELIOGRAPH}`:", ["module", "µs, total", "µs, own"], rows)


def _median(traces: list[Trace], name: str) -> Module:
    found = [trace[name] for trace in traces if name in trace]
    return Module(median(module.own for module in found), median(module.whole for module in found))


def _without(heavy: list[str], ours: list[Trace], repetitions: int) -> Table:
    full = median(map(_total, ours))
    rows: list[list[str]] = []
    for name in heavy:
        fake = f"import sys, types; sys.modules['{name}'] = types.ModuleType('{name}'); {_HELIOGRAPH}"
        try:
            saved = full - median([_total(_trace(fake)) for _ in range(repetitions)])
        except subprocess.CalledProcessError:
            continue  # another module needs it, and is listed itself
        rows.append([name, f"{saved:,.0f}"])
    return Table("Saved if the module is imported later:", ["module", "µs"], rows or [["none", "0"]])


def _never(brought: set[str]) -> str:
    """Return a note. Raises `RuntimeError` if a module of `_NEVER` is imported, so that a quick run in CI fails."""
    wrong = sorted(brought.intersection(_NEVER))
    if wrong:
        raise RuntimeError(f"`{_HELIOGRAPH}` imports {', '.join(wrong)}")
    return f"Not imported, as intended: {', '.join(_NEVER)}."
