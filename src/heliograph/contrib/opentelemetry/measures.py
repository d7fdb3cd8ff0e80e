"""Metrics of this process. In Prometheus they have the names that the page of `--http-status` has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import Histogram, MeterProvider

from heliograph import __version__, engines
from heliograph.models import MICROSECONDS

Measure = Callable[[BaseException | None], None]
"""Called at the end of a call, with its exception."""

BOUNDS = [8.0**power * 0.000064 for power in range(9)]
"""Upper bounds of the buckets in seconds, those of the page."""


class Measures:
    """The instruments."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = metrics.get_meter("heliograph", __version__, provider)

        def histogram(name: str, text: str) -> Histogram:
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=BOUNDS)

        self._handled = meter.create_counter("heliograph.signal.handled", "", "Signals whose handler has ended.")
        self._failed = meter.create_counter("heliograph.signal.failed", "", "Signals whose handler has failed.")
        self._run = histogram("heliograph.signal.run", "Time that the handler took.")
        self._attempts = meter.create_counter("heliograph.task.attempts", "", "Attempts of tasks that have ended.")
        self._failures = meter.create_counter("heliograph.task.failures", "", "Attempts of tasks that have failed.")
        self._task_run = histogram("heliograph.task.run", "Time that an attempt took.")
        self._task_wait = histogram("heliograph.task.wait", "Time that an attempt waited since it could begin.")

    def of_signal(self, name: str, target: str) -> Callable[[], Measure]:
        """Return a function that begins to measure a handler."""
        labels = {"signal": name, "target": target}

        def begin() -> Measure:
            began = time.perf_counter()

            def end(error: BaseException | None) -> None:
                self._run.record(time.perf_counter() - began, labels)
                self._handled.add(1, labels)
                if error is not None:
                    self._failed.add(1, labels)

            return end

        return begin

    def of_task(self, name: str, target: str, claim: Any) -> Callable[[], Measure]:
        """Return a function that begins to measure an attempt."""
        labels = {"task": name, "target": target}

        def begin() -> Measure:
            began = time.perf_counter()
            if claim is not None:
                since = max(claim.enqueued_at, claim.run_after) / MICROSECONDS
                self._task_wait.record(max(0.0, engines.current().clock.time() - since), labels)

            def end(error: BaseException | None) -> None:
                self._task_run.record(time.perf_counter() - began, labels)
                self._attempts.add(1, labels)
                if error is not None:
                    self._failures.add(1, labels)

            return end

        return begin
