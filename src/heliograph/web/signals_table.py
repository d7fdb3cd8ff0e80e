"""The table of signals."""

from __future__ import annotations

from functools import partial

from heliograph.insights.model import Distribution, ServerState, SignalState
from heliograph.web import formats
from heliograph.web.history import History
from heliograph.web.markup import Markup, element
from heliograph.web.plots import spark
from heliograph.web.tables import Column, Row, Table, lines, row

ID = "signals"
_COLUMNS = (
    Column("Signal"),
    Column("Handler"),
    Column("Queued", is_number=True),
    Column("Rate", is_number=True),
    Column("Wait p50 / p95 / p99", is_number=True),
    Column("Run p50 / p95 / p99", is_number=True),
    Column("Failed", is_number=True),
    Column("Handled", is_number=True),
)


def signals(state: ServerState, history: History) -> Table:
    """Return the table. Signals that a problem names come first, then those that wait, fail, and are used most."""
    unwell = {problem.subject for problem in state.problems}
    found = sorted(
        state.signals, key=lambda signal: (not _names(signal) & unwell, -signal.queued, -signal.failed, -signal.done)
    )
    rows: list[Row] = []
    for signal in found:
        rate, is_bad = history.signal_rate(signal.num), bool(_names(signal) & unwell)
        plot = spark(history, signal.num)
        draw = partial(_row, signal, rate, plot, is_bad=is_bad)
        rows.append(Row(str(signal.num), (signal, rate, plot, is_bad), draw))
    return Table(ID, "Signals", _COLUMNS, rows, "No signal has a handler.", "heliograph signals lists all.")


def _names(signal: SignalState) -> set[str]:
    return {signal.name, str(signal.num), f"signal {signal.num}", f"signal {signal.name}"} - {"", "signal "}


def _row(signal: SignalState, rate: float | None, plot: Markup | None, *, is_bad: bool) -> Markup:
    name = lines(
        signal.name or str(signal.num),
        element("small", f"{signal.num}, " if signal.name else "", f"target {signal.target}"),
    )
    cells = (
        name,
        element("code", signal.handler),
        formats.count(signal.queued),
        lines(formats.rate(rate), plot),
        percentiles(signal.waited),
        percentiles(signal.ran),
        element("span", formats.count(signal.failed), class_="critical" if signal.failed else None),
        lines(formats.count(signal.done), _rest(signal)),
    )
    return row(ID, str(signal.num), _COLUMNS, cells, class_="bad" if is_bad else "")


def _rest(signal: SignalState) -> Markup | None:
    parts = [
        f"{formats.count(number)} {word}"
        for number, word in (
            (signal.redelivered, "redelivered"),
            (signal.dropped, "dropped"),
            (signal.coalesced, "coalesced"),
        )
        if number
    ]
    return element("small", ", ".join(parts)) if parts else None


def percentiles(found: Distribution) -> Markup | str:
    """Return the three percentiles of a histogram."""
    if not found.count:
        return formats.NONE
    return element("span", " / ".join(map(formats.duration, (found.p50, found.p95, found.p99))), class_="together")
