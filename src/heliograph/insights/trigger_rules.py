"""Rules for timers, cron rules and file monitors."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.insights.findings import Finding, for_
from heliograph.insights.model import ServerState

LATE = 1.0
"""Seconds that a due run of a trigger may wait."""


def late(state: ServerState) -> Iterator[Finding]:
    """Find due runs whose signal could not be sent yet."""
    for trigger in state.triggers:
        if trigger.late is not None and trigger.late > LATE:
            yield Finding(
                trigger.name,
                f"a run of {trigger.name} ({trigger.schedule}) has been due for {for_(trigger.late)}.",
                f"The queue of signal {trigger.num} is full, or no process takes it: see `heliograph signals`.",
                state.looked_at - trigger.late,
            )


def missed(state: ServerState) -> Iterator[Finding]:
    """Find triggers whose last run was missed."""
    for trigger in state.triggers:
        if trigger.last_missed is not None:
            yield Finding(
                trigger.name,
                f"the last run of {trigger.name} ({trigger.schedule}) was missed, "
                f"{for_(state.looked_at - trigger.last_missed)} ago.",
                f"Run it now with `heliograph send {trigger.num}` if it is needed, and see `misfire_grace`.",
                trigger.last_missed,
            )


def unwatched(state: ServerState) -> Iterator[Finding]:
    """Find paths that cannot be watched."""
    for trigger in state.triggers:
        if trigger.fault is not None:
            yield Finding(
                trigger.schedule,
                f"{trigger.schedule} cannot be watched: {trigger.fault.rstrip('.')}.",
                "Correct that. The server tries again once a minute, and at a reload.",
            )
