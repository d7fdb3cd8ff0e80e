"""Rates: how often things happened a second, from two looks at a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.insights.model import ServerState

_SAME_START = 1.0
"""Seconds by which the time of a start may differ, since it is computed from two clocks."""

_Key = tuple[str, str]
"""The kind of count, and its process, signal or task: `("sent", "7")`."""


@dataclass(frozen=True, slots=True)
class Look:
    """A state of a server, and the rates since the look before."""

    state: ServerState
    rates: Mapping[_Key, float] = field(default_factory=dict[_Key, float])
    """Empty after the first look at a server."""

    def rate(self, what: str, of: str) -> float | None:
        """Return how often something happened a second. None: it is not known yet."""
        return self.rates.get((what, of))


def look_after(before: ServerState | None, state: ServerState) -> Look:
    """Return a look with the rates since the state before. Counters of another server are not compared."""
    if before is None or before.pid != state.pid or abs(before.started_at - state.started_at) > _SAME_START:
        return Look(state)
    seconds = state.looked_at - before.looked_at
    if seconds <= 0:
        return Look(state)
    old, new = _counters(before), _counters(state)
    return Look(state, {key: max(0, count - old[key]) / seconds for key, count in new.items() if key in old})


def _counters(state: ServerState) -> dict[_Key, int]:
    counters: dict[_Key, int] = {}
    for process in state.processes:
        counters["handled", process.name] = process.handled
    for signal in state.signals:
        key = str(signal.num)
        counters |= {("sent", key): signal.sent, ("done", key): signal.done, ("failed", key): signal.failed}
    for task in state.store.tasks if state.store is not None else ():
        counters["ran", task.name] = task.ran.count
    for trigger in state.triggers:
        counters["fired", trigger.name] = trigger.fired
    return counters
