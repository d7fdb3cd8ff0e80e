"""Spans and metrics, with the SDK of OpenTelemetry and its exporter in memory, on the inline engine."""

import asyncio

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from heliograph import Retry, Signal, task
from heliograph.contrib.opentelemetry import HeliographInstrumentor, instrument, uninstrument
from heliograph.runtime import handlers, instrumentation


class Telemetry:
    """What this process has exported."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("test")
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def spans(self, name=None):
        return [span for span in self.exporter.get_finished_spans() if name in (None, span.name)]

    def points(self, metric):
        """Return labels and value of each point: the sum of a counter, the count of a histogram."""
        data = self.reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == metric]
        return [(dict(p.attributes), getattr(p, "value", None) or p.count) for m in found for p in m.data.data_points]


@pytest.fixture
def telemetry(heliograph_engine):
    """Instrument this process, on an inline engine."""
    made = Telemetry()
    instrument(made.tracers, made.meters)
    yield made
    uninstrument()
    made.tracers.shutdown()
    made.meters.shutdown()


def test_a_span_for_each_handler(telemetry, heliograph_engine):
    """Its name is the signal's name, else that of the function. It is the root of a trace."""

    @Signal(name="prices").register_handler("mule1")
    def refresh():
        trace.get_current_span().add_event("within")

    Signal(9).register_handler("worker1")(lambda: None)
    with telemetry.tracer.start_as_current_span("request"):
        Signal(name="prices").send()
        Signal(9).send()
    (span,) = telemetry.spans("signal prices")
    assert span.kind is SpanKind.CONSUMER
    assert span.parent is None
    assert span.links == ()
    assert [event.name for event in span.events] == ["within"]
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "messaging.system": "heliograph",
        "messaging.operation.name": "signal",
        "messaging.operation.type": "process",
        "messaging.destination.name": "prices",
        "code.function.name": f"{__name__}.test_a_span_for_each_handler.<locals>.refresh",
        "heliograph.target": "mule1",
        "heliograph.signal.number": Signal(name="prices").num,
        "heliograph.process": "mule1",
    }
    assert telemetry.spans(f"signal {__name__}.test_a_span_for_each_handler.<locals>.<lambda>")


def test_a_task_is_linked_to_what_enqueued_it(telemetry, heliograph_engine):
    """Each attempt is a trace of its own. Baggage travels too."""
    seen = []

    @task(name="shop:mail", retries=1)
    def mail(to: str):
        seen.append(baggage.get_baggage("customer"))
        if len(seen) == 1:
            raise ConnectionError

    with telemetry.tracer.start_as_current_span("request") as request:
        token = context.attach(baggage.set_baggage("customer", "7"))
        result = mail.enqueue("a@example.org")
        context.detach(token)
    heliograph_engine.clock.sleep(60)
    (enqueue,) = telemetry.spans("enqueue shop:mail")
    assert enqueue.kind is SpanKind.PRODUCER
    assert enqueue.parent.span_id == request.get_span_context().span_id
    assert enqueue.attributes["messaging.message.id"] == result.id
    assert enqueue.attributes["messaging.operation.type"] == "send"
    first, second = telemetry.spans("task shop:mail")
    for number, span in enumerate((first, second), 1):
        assert span.kind is SpanKind.CONSUMER
        assert span.parent is None
        assert [link.context.span_id for link in span.links] == [enqueue.context.span_id]
        assert [link.context.trace_id for link in span.links] == [enqueue.context.trace_id]
        assert span.attributes["messaging.message.id"] == result.id
        assert span.attributes["heliograph.task.attempt"] == number
    assert first.context.trace_id != second.context.trace_id
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "ConnectionError"
    assert first.events[0].name == "exception"
    assert second.status.status_code is StatusCode.UNSET
    assert seen == ["7", "7"]


def test_the_options_of_a_task_are_kept(telemetry, heliograph_engine):
    """The context travels beside them."""
    attempts = []

    @task(name="shop:busy")
    def busy():
        attempts.append(1)
        raise ConnectionError

    busy.using(retries=2).enqueue()
    heliograph_engine.clock.sleep(60)
    heliograph_engine.take_failed_tasks()
    assert len(attempts) == 3


def test_many_tasks_have_one_span(telemetry):
    """All are linked to it."""

    @task(name="shop:many")
    def many(number: int): ...

    many.enqueue_many([(1,), (2,)])
    many.enqueue_many([])
    (enqueue,) = telemetry.spans("enqueue shop:many")
    assert enqueue.attributes["messaging.batch.message_count"] == 2
    assert [span.links[0].context.span_id for span in telemetry.spans("task shop:many")] == [
        enqueue.context.span_id
    ] * 2


def test_coroutines_run_within_their_span(telemetry, heliograph_engine):
    """Also those that a plain function returns. Errors are recorded once."""

    async def work():
        await asyncio.sleep(0)
        with telemetry.tracer.start_as_current_span("inner"):
            raise LookupError("no")

    Signal(7).register_handler("mule1")(work)
    Signal(8).register_handler("mule1")(lambda: work())  # noqa: PLW0108 - a plain function
    task(name="shop:work")(work).enqueue()
    Signal(7).send()
    Signal(8).send()
    heliograph_engine.take_failures()
    heliograph_engine.take_failed_tasks()
    outer = [span for span in telemetry.spans() if span.kind is SpanKind.CONSUMER]
    assert len(outer) == 3
    assert {span.context.span_id for span in outer} == {span.parent.span_id for span in telemetry.spans("inner")}
    assert [len(span.events) for span in outer] == [1, 1, 1]


def test_a_retry_is_no_error(telemetry, heliograph_engine):
    """The code asked for it."""

    @task(name="shop:later", retries=1)
    def later():
        if len(telemetry.spans("task shop:later")) == 0:
            raise Retry(after=1)

    later.enqueue()
    heliograph_engine.clock.sleep(60)
    assert [span.status.status_code for span in telemetry.spans("task shop:later")] == [StatusCode.UNSET] * 2
    assert telemetry.points("heliograph.task.failures") == []


def test_metrics_count_and_measure(telemetry, heliograph_engine):
    """Handled and failed ones, with the time that they waited and ran."""

    @Signal(name="fails").register_handler("mule1")
    def fails():
        raise LookupError

    @task(name="shop:measured")
    def measured(): ...

    Signal(name="fails").send()
    heliograph_engine.take_failures()
    measured.enqueue()
    signal, job = {"signal": "fails", "target": "mule1"}, {"task": "shop:measured", "target": "default"}
    for metric in ("handled", "failed", "run"):
        assert telemetry.points(f"heliograph.signal.{metric}") == [(signal, 1)]
    for metric in ("attempts", "run", "wait"):
        assert telemetry.points(f"heliograph.task.{metric}") == [(job, 1)]


def test_the_spans_left_are_exported_before_the_process_exits(telemetry, heliograph_engine, monkeypatch):
    """By the provider of the application."""
    flushed = []
    monkeypatch.setattr(telemetry.tracers, "force_flush", flushed.append)
    Signal(7).register_handler("mule1")(lambda: None)
    Signal(7).send()
    heliograph_engine.stop_processes("mule1")
    assert len(flushed) == 1


def test_instrument_may_be_called_twice_and_undone(heliograph_engine):
    """Afterwards the handlers are the same functions as before."""
    made = Telemetry()
    ran = []
    Signal(7).register_handler("mule1")(ran.append)
    plain = handlers.HANDLERS[7]
    instrument(made.tracers, made.meters)
    HeliographInstrumentor().instrument(tracer_provider=made.tracers)

    @task(name="shop:undone")
    def undone(): ...

    Signal(7).send()
    undone.enqueue()
    assert len(made.spans()) == 3
    HeliographInstrumentor().uninstrument()
    uninstrument()
    Signal(7).send()
    undone.enqueue()
    assert len(made.spans()) == 3
    assert ran == [7, 7]
    assert handlers.HANDLERS[7] is plain
    assert instrumentation.SIGNAL_WRAPPERS == instrumentation.TASK_WRAPPERS == []
