"""One row for each registered signal: where it goes, and how many were sent, started, done."""

from __future__ import annotations

from typing import Any

from heliograph._core.signals.names import NameTable
from heliograph._core.signals.routes import Route, Routes
from heliograph._core.signals.targets import parse, queues
from heliograph._core.stats.counters import CounterName, Counters
from heliograph.models import SIGNALS, Topology

_SHOWN: tuple[CounterName, ...] = ("sent", "started", "done", "failed", "redelivered", "dropped")


def signal_rows(
    routes: Routes, names: NameTable, counters: Counters, topology: Topology, queued: int
) -> list[dict[str, Any]]:
    """Return the rows. `queued` is the number of signals that the server has queued in total."""

    def row(num: int, route: Route) -> dict[str, Any]:
        totals: dict[str, int] = {counter: counters.total(counter, num) for counter in _SHOWN}
        copies = len(queues(parse(route.target, topology), topology))
        # A process that was killed between an action and its counter left the difference off by one.
        difference = totals["sent"] * copies + totals["redelivered"] - totals["started"]
        facts = {"num": num, "name": names[num], "target": route.target, "handler": route.handler}
        return {**facts, **totals, "queued": max(0, min(difference, queued))}

    return [row(num, route) for num in range(SIGNALS) if (route := routes[num]) is not None]
