"""Spans and metrics that are not exported yet, at the end of a process."""

from __future__ import annotations

import contextlib

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from heliograph.runtime.hooks import on_stop

_TIMEOUT = 5000
"""Milliseconds for an export."""


def flush_at_end(tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
    """Export what is left before this process exits. Exporters have threads of their own, which may be late.

    None stands for the global provider.
    """

    @on_stop
    def flush() -> None:
        for provider in (tracers or trace.get_tracer_provider(), meters or metrics.get_meter_provider()):
            force_flush = getattr(provider, "force_flush", None)
            if force_flush is not None:
                with contextlib.suppress(Exception):  # the exporter has logged it
                    force_flush(_TIMEOUT)
