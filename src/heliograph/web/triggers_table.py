"""The table of timers, cron rules and file monitors."""

from __future__ import annotations

from functools import partial

from heliograph.insights.model import ServerState, TriggerState
from heliograph.web import formats
from heliograph.web.markup import Markup, element, join
from heliograph.web.tables import Column, Row, Table, lines, row

ID = "triggers"
_COLUMNS = (
    Column("Trigger"),
    Column("Rule"),
    Column("Sends"),
    Column("Next run"),
    Column("Last run"),
    Column("Runs", is_number=True),
    Column("Missed", is_number=True),
)
_KINDS = {"timer": "timer", "cron": "cron rule", "file": "file monitor"}


def triggers(state: ServerState) -> Table:
    """Return the table: unwell ones first, then by their next run."""
    unwell = {problem.subject for problem in state.problems}
    found = sorted(state.triggers, key=lambda trigger: (not _is_bad(trigger, unwell), trigger.next or float("inf")))
    rows = [
        Row(trigger.name, (trigger, _is_bad(trigger, unwell)), partial(_row, trigger, state, unwell))
        for trigger in found
    ]
    return Table(ID, "Triggers", _COLUMNS, rows, "No trigger is registered.", "heliograph schedule lists all.")


def _is_bad(trigger: TriggerState, unwell: set[str]) -> bool:
    return trigger.name in unwell or trigger.fault is not None or trigger.last_missed is not None


def _row(trigger: TriggerState, state: ServerState, unwell: set[str]) -> Markup:
    now = state.looked_at
    late = element("span", f"late by {formats.duration(trigger.late)}", class_="warning") if trigger.late else None
    fault = element("span", trigger.fault, class_="critical") if trigger.fault else None
    missed = (
        None
        if trigger.last_missed is None
        else element("small", "last ", formats.age(trigger.last_missed, now), " ago")
    )
    cells = (
        lines(trigger.name, element("small", _KINDS[trigger.kind])),
        lines(element("code", trigger.schedule), fault),
        f"signal {trigger.num} to {trigger.target}",
        lines(formats.until(trigger.next, now), late),
        formats.NONE if trigger.last is None else join(formats.age(trigger.last, now), " ago"),
        formats.count(trigger.fired),
        lines(
            element("span", formats.count(trigger.missed), class_="warning" if trigger.last_missed else None), missed
        ),
    )
    return row(ID, trigger.name, _COLUMNS, cells, class_="bad" if _is_bad(trigger, unwell) else "")
