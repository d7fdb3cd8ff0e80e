"""What `import heliograph` costs, and what it brings along."""

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
"""Parts of ours that whoever only sends signals must not pay for."""
_HEAVY = ("asyncio", "multiprocessing", "concurrent.futures", "ssl", "subprocess", "socket", "unittest", "email")
"""Parts of Python that take long to import."""

_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")
_HEAVIEST = 8


class Module(NamedTuple):
    """One line of `-X importtime`: microseconds of its own, and with what it imports first."""

    own: float
    whole: float


Trace = dict[str, Module]


def run(plan: Plan) -> Report:
    """Trace the imports, and find out what they cost without the heavy parts."""
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
        notes.append(f"Heavy parts of Python that come along: {', '.join(heavy)}.")
    return Report(
        "What an import costs",
        f"`python -X importtime -c ...`; microseconds beyond what Python itself imports, {repetitions} interleaved "
        "repetitions: medians, and their range. `whole` counts a module with all that it is the first to import; "
        "tracing itself slows imports somewhat. To see what a heavy part really costs, the import is repeated with "
        "an empty module in its place.",
        [_totals(traces), _heaviest(ours, brought), _without(heavy, ours, repetitions)],
        notes,
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
    return Table("In all:", ["statement", "µs", "range", "x uwsgiconf"], rows)


def _heaviest(traces: list[Trace], brought: Iterable[str]) -> Table:
    costs = {name: _median(traces, name) for name in brought}
    names = sorted(costs, key=lambda name: costs[name].whole, reverse=True)[:_HEAVIEST]
    rows = [[name, f"{costs[name].whole:,.0f}", f"{costs[name].own:,.0f}"] for name in names]
    return Table(f"The heaviest {_HEAVIEST} modules of `{_HELIOGRAPH}`:", ["module", "µs, whole", "µs, own"], rows)


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
            continue  # another part needs it, and is in the list itself
        rows.append([name, f"{saved:,.0f}"])
    return Table("Saved by importing it later:", ["part", "µs"], rows or [["none", "0"]])


def _never(brought: set[str]) -> str:
    """Raises `RuntimeError` for what must not be imported, so that a quick run in CI fails."""
    wrong = sorted(brought.intersection(_NEVER))
    if wrong:
        raise RuntimeError(f"`{_HELIOGRAPH}` imports {', '.join(wrong)}")
    return f"Not imported, as it should be: {', '.join(_NEVER)}."
