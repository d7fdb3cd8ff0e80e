"""The metrics as a collector of `prometheus_client`, for a registry of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from heliograph.insights.model import Distribution, ServerState
from heliograph.web.exposition import BOUNDS, cumulative, number_text
from heliograph.web.metrics import COUNTER, GROUPS, HISTOGRAM, INFO, UP, Group, Metric

_FAMILIES = {COUNTER: CounterMetricFamily, HISTOGRAM: HistogramMetricFamily, INFO: InfoMetricFamily}


class ServerCollector(Collector):
    """Collects the metrics of a server.

    `read` returns the present state, None if the server does not answer.
    """

    def __init__(self, read: Callable[[], ServerState | None]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """Yield all families."""
        state = self._read()
        yield GaugeMetricFamily(UP.name, UP.help, value=int(state is not None))
        if state is not None:
            for group in GROUPS:
                for metric in group.metrics:
                    yield _family(group, metric, state)


def _family(group: Group, metric: Metric, state: ServerState) -> Family:
    names = [*group.label_names, *([metric.by] if metric.by else [])]
    family: Any = _FAMILIES.get(metric.type, GaugeMetricFamily)(metric.name, metric.help, labels=names)
    for thing in group.things(state):
        value = metric.value(thing)
        labels = dict(group.labels(thing))
        if value is None or (metric.type == HISTOGRAM and not value.count):
            continue
        if metric.type == INFO:
            family = InfoMetricFamily(metric.name, metric.help, value=labels)
        elif isinstance(value, Mapping):
            for label, number in cast("Mapping[str, float]", value).items():
                family.add_sample(metric.name, {**labels, metric.by: label}, number)
        elif metric.type == HISTOGRAM:
            family.add_metric(list(labels.values()), *_histogram(value))
        else:
            family.add_metric(list(labels.values()), value)
    return cast("Family", family)


def _histogram(found: Distribution) -> tuple[list[tuple[str, int]], float]:
    total = max(found.count, sum(number for _, number in found.buckets))
    buckets = [(number_text(bound), number) for bound, number in zip(BOUNDS, cumulative(found), strict=True)]
    return [*buckets, ("+Inf", total)], found.total
