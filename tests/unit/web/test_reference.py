"""The page of the metrics."""

from pathlib import Path

from heliograph.web.metrics import GROUPS
from heliograph.web.reference import page


def test_the_page_is_up_to_date():
    """To update it: make reference."""
    assert (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text() == page()


def test_each_metric_has_a_row():
    """With its type, its labels, and the name under which Prometheus knows it."""
    text = page()
    for group in GROUPS:
        for metric in group.metrics:
            assert f"| `{metric.name}" in text
    assert "| `heliograph_process_restarts_total` | `counter` | `process`, `role` |" in text
