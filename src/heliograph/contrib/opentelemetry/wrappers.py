"""The wrappers around handlers, tasks and enqueueing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import INVALID_SPAN, Link, SpanKind, TracerProvider

from heliograph import __version__, engines
from heliograph._core.signals.handlers import describe
from heliograph.contrib.opentelemetry.flushing import flush_at_end
from heliograph.contrib.opentelemetry.measures import Measure, Measures
from heliograph.contrib.opentelemetry.running import Run
from heliograph.models import SignalDescription
from heliograph.runtime.handlers import REGISTRY
from heliograph.runtime.instrumentation import Call

if TYPE_CHECKING:
    from heliograph.tasks.registry import TaskDefinition
    from heliograph.tasks.storing import Put

SYSTEM = "heliograph"


class Wrappers:
    """The wrappers of one call of `instrument`."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._tracer = trace.get_tracer("heliograph", __version__, tracers)
        self._measures = Measures(meters)
        self._providers = tracers, meters
        self._pid = 0

    def signal(self, call: Call, known: SignalDescription) -> Call:
        """Return a handler within a span."""
        name = _name_of(known)
        attributes = {
            **_attributes("signal", "process", name),
            "code.function.name": describe(known.func),
            "heliograph.target": known.target,
            "heliograph.signal.number": known.num,
        }
        measure = self._measures.of_signal(name, known.target)

        def run(num: int) -> Any:
            return self._run(call, (num,), f"signal {name}", attributes, {}, measure)

        return run

    def task(self, call: Call, definition: TaskDefinition) -> Call:
        """Return a task within a span that is linked to the one that enqueued it."""
        from heliograph.tasks.headers import headers_in  # noqa: PLC0415 - it needs msgspec

        name, target = definition.name, definition.options.target
        plain = {
            **_attributes("task", "process", name),
            "code.function.name": describe(definition.func),
            "heliograph.target": target,
        }

        def run(context: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            headers = headers_in(context.claim.overrides) if context.claim is not None else {}
            attributes = {**plain, "messaging.message.id": context.id, "heliograph.task.attempt": context.attempt}
            measure = self._measures.of_task(name, target, context.claim)
            return self._run(call, (context, args, kwargs), f"task {name}", attributes, headers, measure)

        return run

    def put(self, put: Put) -> Put:
        """Return a call that stores tasks within a span, and gives them its context."""
        from heliograph.tasks.headers import with_headers  # noqa: PLC0415 - it needs msgspec

        def run(new: Sequence[Any], time: int) -> Sequence[Any]:
            if not new:
                return put(new, time)
            name = new[0].name
            attributes = {**_attributes("enqueue", "send", name), "heliograph.target": new[0].target}
            with self._tracer.start_as_current_span(f"enqueue {name}", None, SpanKind.PRODUCER, attributes) as span:
                headers: dict[str, str] = {}
                propagate.inject(headers)
                stored = put([with_headers(task, headers) for task in new], time)
                if len(stored) == 1:
                    span.set_attribute("messaging.message.id", stored[0].id)
                else:
                    span.set_attribute("messaging.batch.message_count", len(stored))
                return stored

        return run

    def _run(
        self,
        call: Call,
        args: tuple[Any, ...],
        name: str,
        attributes: Mapping[str, Any],
        headers: Mapping[str, str],
        begin: Callable[[], Measure],
    ) -> Any:
        """Call a function within a new trace, linked to the span in the headers."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            flush_at_end(*self._providers)
        sender = propagate.extract(headers, Context()) if headers else Context()
        origin = trace.get_current_span(sender).get_span_context()
        root = trace.set_span_in_context(INVALID_SPAN, sender)  # it keeps the baggage
        links = [Link(origin)] if origin.is_valid else []
        process = {"heliograph.process": str(engines.current().identity)}
        span = self._tracer.start_span(name, root, SpanKind.CONSUMER, {**attributes, **process}, links)
        return Run(span, trace.set_span_in_context(span, root), begin()).call(call, args)


def _attributes(operation: str, kind: str, name: str) -> dict[str, Any]:
    """Return the attributes that the conventions for messaging ask for."""
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": name,
    }


def _name_of(known: SignalDescription) -> str:
    """Return the name of a signal, else that of its handler."""
    return REGISTRY.names.get(known.num) or describe(known.func)
