"""Histograms of durations as bars."""

from __future__ import annotations

from heliograph._core.units import latency, short_number
from heliograph.insights.model import Distribution
from heliograph.top.views.lines import Line

_BLOCKS = " ▏▎▍▌▋▊▉█"
"""Eighths of a block."""


def histogram_lines(title: str, times: Distribution, width: int) -> list[Line]:
    """Return a histogram as bars. The longest fills the width."""
    lines = [Line(f"{title}: {percentiles(times)}", "bold")]
    if not times.buckets:
        return [*lines, Line("  no measurements so far")]
    most = max(count for _, count in times.buckets)
    space = max(4, width - 21)
    for bound, count in times.buckets:
        lines.append(Line(f"  <= {latency(bound):>7}  {short_number(count):>5}  {bar(count / most, space)}"))
    return lines


def percentiles(times: Distribution) -> str:
    """Return the percentiles of a distribution in a line."""
    if not times.count:
        return "-"
    known = (("p50", times.p50), ("p95", times.p95), ("p99", times.p99))
    found = [f"{name} {latency(value)}" for name, value in known if value is not None]
    return ", ".join([*found, f"mean {latency(times.total / times.count)}", f"{times.count} times"])


def bar(share: float, width: int) -> str:
    """Return a bar for a share from 0 to 1. A share above 0 is visible."""
    eighths = max(1, round(share * width * 8)) if share > 0 else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")
