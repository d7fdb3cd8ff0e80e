"""The parts of the page, drawn once for all clients, with the number of the reading that changed each.

A client has seen everything up to some reading, and gets the parts that changed since. A slow client skips readings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from typing import Any

from heliograph.web.history import History
from heliograph.web.markup import Markup
from heliograph.web.plots import plots
from heliograph.web.processes_table import processes
from heliograph.web.readings import Reading
from heliograph.web.signals_table import signals
from heliograph.web.summary import facts, health, store, verdict
from heliograph.web.tables import MAX_ROWS, Table, anchor
from heliograph.web.tasks_table import task_lists, tasks
from heliograph.web.triggers_table import triggers


class _Part:
    """Something that is drawn if `shown` has changed."""

    __slots__ = ("html", "shown", "version")

    def __init__(self) -> None:
        self.shown: object = self
        self.html: Any = ""
        self.version = 0

    def update(self, shown: Hashable | Any, draw: Callable[[], Any], version: int) -> None:
        if shown != self.shown:
            html = draw()
            if html != self.html:
                self.html, self.version = html, version
            self.shown = shown


class View:
    """The page at the last reading."""

    def __init__(self, *, can_change: bool) -> None:
        """`can_change`: a token is configured, so that the page has buttons."""
        self.can_change = can_change
        self.history = History()
        self.version = 0
        self.reading: Reading | None = None
        self._parts: dict[str, _Part] = {}
        self._rows: dict[str, _Part] = {}
        self._orders: dict[str, _Part] = {}
        self._drawn = -1

    def update(self, reading: Reading) -> None:
        """Take in a reading. Nothing is drawn before somebody asks."""
        self.version += 1
        self.reading = reading
        if reading.state is not None:
            self.history.add(reading.state)

    def tables(self, reading: Reading) -> tuple[Table, ...]:
        """Return the tables in their order, empty if the server does not answer."""
        state = reading.state
        if state is None:
            return ()
        return processes(state), signals(state, self.history), tasks(state, can_change=self.can_change), triggers(state)

    def event(self, seen: int) -> str:
        """Return what has changed since version `seen`, as JSON. 0: everything."""
        self._draw()
        return json.dumps(
            {
                "version": self.version,
                "now": 0 if self.reading is None or self.reading.state is None else self.reading.state.looked_at,
                "parts": {key: part.html for key, part in self._parts.items() if part.version > seen},
                "rows": {key: part.html for key, part in self._rows.items() if part.version > seen},
                "orders": {key: part.html for key, part in self._orders.items() if part.version > seen},
            },
            separators=(",", ":"),
        )

    def _draw(self) -> None:
        if self.reading is None or self._drawn == self.version:
            return
        reading = self.reading
        self._drawn = self.version
        state = reading.state
        self._part("title", verdict(reading), lambda: title(reading))
        problems = None if state is None else (state.problems, state.is_ready, state.is_stopping)
        self._part("health", (problems, reading.error), lambda: health(reading))
        if state is None:
            return  # the page keeps what it showed
        facts_shown = (state.generation, state.is_loading, state.processes, state.hosts, state.rejected, state.app)
        self._part("facts", facts_shown, lambda: facts(reading))
        self._part("plots", self.version, lambda: plots(self.history))
        self._part(
            "task-lists", reading.tasks, lambda: task_lists(reading.tasks, state.looked_at, can_change=self.can_change)
        )
        self._part("store", state.store, lambda: store(reading))
        present: set[str] = set()
        for table in self.tables(reading):
            present |= self._table(table)
        self._rows = {key: part for key, part in self._rows.items() if key in present}

    def _table(self, table: Table) -> set[str]:
        rows = table.rows[:MAX_ROWS]
        ids = [anchor(table.id, row.key) for row in rows]
        self._order(table.id, ids)
        self._part(f"{table.id}-note", len(table.rows), lambda: table.note)
        for id_, row in zip(ids, rows, strict=True):
            self._rows.setdefault(id_, _Part()).update(row.shown, row.draw, self.version)
        return set(ids)

    def _order(self, key: str, ids: list[str]) -> None:
        self._orders.setdefault(key, _Part()).update(ids, lambda: ids, self.version)

    def _part(self, key: str, shown: Hashable | Any, draw: Callable[[], Markup | str]) -> None:
        self._parts.setdefault(key, _Part()).update(shown, draw, self.version)


def title(reading: Reading) -> str:
    """Return the title of the window."""
    word, _ = verdict(reading)
    name = "heliograph" if reading.state is None else reading.state.name
    return f"{name}: {'well' if word == 'well' else 'not well'}"
