"""Write docs/reference/metrics.md from the table of metrics: `python -m heliograph.web.reference [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.web.metrics import COUNTER, GROUPS, INFO, UP, Group, Metric

PAGE = Path("docs/reference/metrics.md")
_HEAD = """# Metrics

`heliograph run --http-status ADDR` serves these metrics at `/metrics`, in the text format of Prometheus or, for clients
that accept it, in OpenMetrics. They describe all processes of the server. See
[the status page](../how-to/observe-page.md#metrics) for the configuration of Prometheus.

A metric without a value is missing: the memory of a process that does not run, or the histogram of a signal that was
never handled. If the server does not answer, `heliograph_up` is 0 and all others are missing.

The buckets of the histograms have these upper bounds in seconds: {bounds}.
Each is eight times the one before. Durations of busy processes may be estimates from samples.

<!-- made by `make reference` from web/metrics.py -->

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the text of the page."""
    rows = [_row(UP, ()), *(_row(metric, _labels(group, metric)) for group in GROUPS for metric in group.metrics)]
    bounds = ", ".join(f"{2**power / 1e6:.6f}" for power in range(6, 31, 3))
    return _HEAD.format(bounds=bounds) + "\n".join(rows) + "\n"


def _labels(group: Group, metric: Metric) -> tuple[str, ...]:
    return (*group.label_names, *([metric.by] if metric.by else []))


def _row(metric: Metric, labels: tuple[str, ...]) -> str:
    name = metric.name + {COUNTER: "_total", INFO: "_info"}.get(metric.type, "")
    shown = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | `{'gauge' if metric.type == INFO else metric.type}` | {shown} | {metric.help} |"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page())
