"""One row for each registered signal: where it goes, and how many were sent, started, done."""

from __future__ import annotations

from typing import Any

from heliograph._core.signals.names import NameTable
from heliograph._core.signals.routes import Route, Routes
from heliograph._core.signals.targets import parse, queues, varies
from heliograph._core.stats.counters import CounterName, Counters
from heliograph.models import SIGNALS, Topology

_SHOWN: tuple[CounterName, ...] = ("sent", "started", "done", "failed", "redelivered", "dropped", "coalesced")


def signal_rows(
    routes: Routes, names: NameTable, counters: Counters, topology: Topology, queued: int
) -> list[dict[str, Any]]:
    """Return the rows. `queued` is the number of signals that the server has queued in total."""

    def row(num: int, route: Route) -> dict[str, Any]:
        totals: dict[str, int] = {counter: counters.total(counter, num) for counter in _SHOWN}
        # A process that was killed between an action and its counter left the difference off by one.
        difference = unstarted(counters, num, route.target, topology)
        facts = {"num": num, "name": names[num], "target": route.target, "handler": route.handler}
        return {**facts, **totals, "queued": max(0, min(difference, queued))}

    return [row(num, route) for num in range(SIGNALS) if (route := routes[num]) is not None]


def unstarted(counters: Counters, num: int, target: str, topology: Topology) -> int:
    """Return the number of records of a signal that were sent and not taken by a handler, according to the counters."""
    parsed, total = parse(target, topology), counters.total
    copies = len(queues(parsed, topology))
    sent = total("copies", num) if varies(parsed, topology) else total("sent", num) * copies - total("skipped", num)
    taken = total("started", num) + total("coalesced", num) + total("vacated", num)
    return sent + total("redelivered", num) - taken
