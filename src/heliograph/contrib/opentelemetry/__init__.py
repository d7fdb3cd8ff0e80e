"""OpenTelemetry: a span for each handler, each attempt of a task and each enqueueing, and metrics of this process.

    from heliograph.contrib.opentelemetry import instrument

    instrument()

It needs `pip install 'heliograph[otel]'`, which is the API of OpenTelemetry. The application chooses the SDK and the
exporters. `opentelemetry-instrument heliograph run ...` calls `instrument()` itself.
"""

from __future__ import annotations

from typing import Any

try:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
except ImportError as error:
    raise ImportError(f"{__name__} needs OpenTelemetry: pip install 'heliograph[otel]'.") from error

from heliograph.contrib.opentelemetry.wrappers import Wrappers
from heliograph.runtime.instrumentation import instrument_calls, restore_calls

__all__ = ["HeliographInstrumentor", "instrument", "uninstrument"]

_ACTIVE: list[Wrappers] = []
"""The wrappers of `instrument`, or nothing."""


def instrument(tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Trace and measure all handlers and tasks of this process, those that are registered already, too.

    Call it where the application is loaded. Further calls do nothing until `uninstrument()`.

    Args:
        tracer_provider: Default: the global one, also if that is set later.
        meter_provider: Default: the global one, also if that is set later.
    """
    if not _ACTIVE:
        wrappers = Wrappers(tracer_provider, meter_provider)
        _ACTIVE.append(wrappers)
        instrument_calls(wrappers.signal, wrappers.task, wrappers.put)


def uninstrument() -> None:
    """Trace and measure nothing any more."""
    while _ACTIVE:
        wrappers = _ACTIVE.pop()
        restore_calls(wrappers.signal, wrappers.task, wrappers.put)


class HeliographInstrumentor:
    """The entry point for `opentelemetry-instrument`."""

    def instrument(self, **options: Any) -> None:
        """Call `instrument`. Options that it does not have are ignored."""
        instrument(options.get("tracer_provider"), options.get("meter_provider"))

    def uninstrument(self, **_options: Any) -> None:
        """Call `uninstrument`."""
        uninstrument()
