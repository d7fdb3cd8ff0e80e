"""Small plots of the last ten minutes, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heliograph.web import formats
from heliograph.web.history import History
from heliograph.web.markup import Markup, element, join

_WIDTH, _HEIGHT = 240, 48
_STEP = 5.0
"""Seconds for which a plot has one point."""
_SPARK_WIDTH, _SPARK_HEIGHT = 90, 18

Points = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class _Plot:
    title: str
    points: Callable[[History], Points]
    text: Callable[[float | None], str]
    empty: str
    """Text if there are no points."""


_PLOTS = (
    _Plot("Signals handled", lambda h: h.rates(lambda t: t.handled, _STEP), formats.rate, "none yet"),
    _Plot("Signals queued", lambda h: h.levels(lambda t: t.queued, _STEP), lambda n: formats.count(n or 0), "none yet"),
    _Plot("Wait, p95", lambda h: h.percentiles(lambda t: t.waited, 0.95, _STEP), formats.duration, "none yet"),
    _Plot("Handler, p95", lambda h: h.percentiles(lambda t: t.ran, 0.95, _STEP), formats.duration, "none yet"),
    _Plot("Errors", lambda h: h.rates(lambda t: t.failed, _STEP), formats.rate, "none yet"),
    _Plot("Tasks finished", lambda h: h.rates(lambda t: t.tasks_finished, _STEP), formats.rate, "none yet"),
)  # fmt: skip


def plots(history: History) -> Markup:
    """Return all plots."""
    return join(*(_figure(plot, plot.points(history)) for plot in _PLOTS))


def spark(history: History, num: int) -> Markup | None:
    """Return the small plot of the rate of one signal. None: nothing was handled while somebody looked."""
    points = history.signal_points(num)
    if not any(points):
        return None
    title = f"Rate in the last 10 minutes, at most {formats.rate(max(point or 0 for point in points))}"
    return _svg(points, _SPARK_WIDTH, _SPARK_HEIGHT, title)


def _figure(plot: _Plot, points: Points) -> Markup:
    known = [point for point in points if point is not None]
    last = points[-1] if points[-1] is not None else (known[-1] if known else None)
    if not known:
        title = f"{plot.title}: {plot.empty}"
        shown, scale = element("span", plot.empty, class_="none"), None
    else:
        title = f"{plot.title}: now {plot.text(last)}, at most {plot.text(max(known))} in the last 10 minutes"
        shown, scale = element("b", plot.text(last)), element("span", f"max {plot.text(max(known))}", class_="max")
    caption = element("figcaption", element("span", plot.title), shown)
    return element("figure", caption, _svg(points, _WIDTH, _HEIGHT, title), scale)


def _svg(points: Points, width: int, height: int, title: str) -> Markup:
    return element(
        "svg",
        element("path", d=_line(points, width, height), class_="line"),
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
    )


def _line(points: Points, width: int, height: int) -> str:
    """Return a path that has a gap for each point that is None. A point without neighbours is a short dash."""
    top = max((point for point in points if point is not None), default=0.0) or 1.0
    parts: list[str] = []
    is_down = False
    for place, point in enumerate(points):
        if point is None:
            is_down = False
            continue
        x = place * width / (len(points) - 1)
        y = height - 2 - (height - 4) * point / top
        parts.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}" + ("" if is_down else "h1"))
        is_down = True
    return "".join(parts)
