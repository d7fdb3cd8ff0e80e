"""The view of the signals."""

from __future__ import annotations

from heliograph._core.units import latency, short_number
from heliograph.insights.model import SignalState
from heliograph.top.columns import number, words
from heliograph.top.rates import Look
from heliograph.top.views.histogram import histogram_lines
from heliograph.top.views.lines import Line, fact, problem_notes, rate_text
from heliograph.top.views.row import Row, View, bad_if_any, mark, severities, worst


def signal_name(signal: SignalState) -> str:
    """Return the name of a signal, or its number."""
    return signal.name or str(signal.num)


def _rows_of_signals(look: Look) -> list[Row[SignalState]]:
    known = severities(look)
    return [
        Row(str(one.num), one, look, worst(known, *filter(None, (one.name, f"{one.num}", f"signal {one.num}"))))
        for one in look.state.signals
    ]


def signal_lines(row: Row[SignalState], width: int) -> list[Line]:
    """Return the facts of a signal, and histograms of its times."""
    one, key = row.item, str(row.item.num)
    return [
        *problem_notes(row, one.name, key, f"signal {key}"),
        fact("signal", f"{one.num} {one.name}".strip()),
        fact("target", one.target),
        fact("handler", one.handler),
        fact("sent", f"{one.sent}{rate_text(row, 'sent', key)}"),
        fact("done", f"{one.done}{rate_text(row, 'done', key)}"),
        Line(*fact("failed", f"{one.failed}{rate_text(row, 'failed', key)}")[:1], "red" if one.failed else ""),
        fact("queued", str(one.queued)),
        fact("coalesced", str(one.coalesced)),
        fact("redelivered", f"{one.redelivered}, dropped {one.dropped}"),
        Line(""),
        *histogram_lines("Time from send() to the start of the handler", one.waited, width),
        Line(""),
        *histogram_lines("Time that the handler ran", one.ran, width),
    ]


SIGNALS: View[SignalState] = View(
    "signals",
    "Signals",
    lambda one: f"Signal {signal_name(one)}",
    (
        mark(),
        words("SIGNAL", 14, lambda row: signal_name(row.item)),
        words("TARGET", 8, lambda row: row.item.target, 2),
        words("HANDLER", 14, lambda row: row.item.handler, keeps_end=True),
        number("SENT/S", 6, lambda row: row.look.rate("sent", str(row.item.num)), short_number, 1),
        number("DONE/S", 6, lambda row: row.look.rate("done", str(row.item.num)), short_number),
        number("FAILED", 6, lambda row: row.item.failed, short_number, style=bad_if_any(lambda row: row.item.failed)),
        number("QUEUED", 6, lambda row: row.item.queued, short_number),
        number("WAIT95", 6, lambda row: row.item.waited.p95, latency),
        number("RUN95", 6, lambda row: row.item.ran.p95, latency),
        number("SENT", 5, lambda row: row.item.sent, short_number, 3),
        number("DONE", 5, lambda row: row.item.done, short_number, 3),
        number("RUN99", 6, lambda row: row.item.ran.p99, latency, 5),
        number("COALESCED", 9, lambda row: row.item.coalesced, short_number, 5),
        number("REDELIVERED", 11, lambda row: row.item.redelivered, short_number, 6),
        number("DROPPED", 7, lambda row: row.item.dropped, short_number, 4, bad_if_any(lambda row: row.item.dropped)),
    ),
    _rows_of_signals,
    signal_lines,
    "No handler is registered.",
)
