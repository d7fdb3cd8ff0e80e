"""Sentry with its real SDK, and a transport that keeps the events, on the inline engine."""

import asyncio
import logging
import sys
import threading

import pytest

pytest.importorskip("sentry_sdk")

import sentry_sdk
from sentry_sdk.integrations import _processed_integrations
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from heliograph import Retry, Signal, task
from heliograph.contrib import sentry as module
from heliograph.contrib.sentry import HeliographIntegration
from heliograph.runtime import handlers, instrumentation, task_hosting


class Recorder(Transport):
    """Keeps the events."""

    def __init__(self, options=None):
        super().__init__(options)
        self.events = []

    def capture_envelope(self, envelope):
        self.events += [item.payload.json for item in envelope.items if item.type == "event"]


@pytest.fixture
def sentry():
    """A function that starts the SDK, and returns the events. The SDK ends with the test."""
    wrappers = list(handlers._WRAPPERS)

    def start(*integrations, dedupe=True):
        recorder = Recorder()
        found = [LoggingIntegration(), *([DedupeIntegration()] if dedupe else []), *integrations]
        # The others change this process for good: threads, subprocesses, each framework that is installed.
        sentry_sdk.init(
            "http://key@localhost/1",
            transport=recorder,
            integrations=list({one.identifier: one for one in found}.values()),
            default_integrations=False,
            auto_enabling_integrations=False,
        )
        return recorder.events

    yield start
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_isolation_scope().clear()
    handlers._WRAPPERS[:] = wrappers
    if module._signal in instrumentation.SIGNAL_WRAPPERS:
        instrumentation.restore_calls(module._signal, module._task, module._put)
        _processed_integrations.discard("heliograph")  # the next test sets it up again
    task_hosting.forget_calls()


def exception_of(event):
    (value,) = event["exception"]["values"]
    return value["type"], value["value"], value["mechanism"]["type"], value["mechanism"]["handled"]


def fail_in_all_ways(engine):
    """An exception of a function, of a coroutine, and of both within a task. Return the names."""

    @Signal(name="plain").register_handler("mule1")
    def plain():
        raise LookupError("plain")

    @Signal(7).register_handler("mule1")
    async def async_handler():
        await asyncio.sleep(0)
        raise LookupError("async_handler")

    @task(name="shop:job")
    def job():
        raise LookupError("job")

    @task(name="shop:async_job")
    async def async_job():
        await asyncio.sleep(0)
        raise LookupError("async_job")

    Signal(name="plain").send()
    Signal(7).send()
    job.enqueue()
    async_job.enqueue()
    thread = threading.Thread(target=Signal(7).send)
    thread.start()
    thread.join()
    engine.take_failures()
    engine.take_failed_tasks()
    here = f"{__name__}.fail_in_all_ways.<locals>"
    return [f"{here}.plain", f"{here}.async_handler", "shop:job", "shop:async_job", f"{here}.async_handler"]


@pytest.mark.parametrize(
    "others",
    [(), (LoggingIntegration(event_level=None),), (LoggingIntegration(event_level=logging.WARNING),)],
    ids=["default", "no log events", "log events of warnings"],
)
@pytest.mark.parametrize("dedupe", [True, False], ids=["dedupe", "no dedupe"])
def test_an_error_arrives_once_with_the_name_of_its_signal_or_task(sentry, heliograph_engine, others, dedupe):
    """Of functions, coroutines and threads, however logging is set up."""
    events = sentry(HeliographIntegration(), *others, dedupe=dedupe)
    names = fail_in_all_ways(heliograph_engine)
    assert [event["transaction"] for event in events] == names
    texts = ["plain", "async_handler", "job", "async_job", "async_handler"]
    assert [exception_of(event) for event in events] == [("LookupError", text, "heliograph", False) for text in texts]
    assert [event["tags"].get("heliograph.signal") for event in events] == ["plain", names[1], None, None, names[1]]
    assert [event["tags"].get("heliograph.task") for event in events][2:4] == ["shop:job", "shop:async_job"]
    assert [event["tags"]["heliograph.process"] for event in events][:3] == ["mule1", "mule1", "spooler1"]
    assert events[2]["contexts"]["heliograph"]["attempt"] == 1


def test_without_the_integration_an_error_arrives_once_by_logging(sentry, heliograph_engine):
    """The name is in its text."""
    events = sentry()
    names = fail_in_all_ways(heliograph_engine)
    assert [exception_of(event)[2] for event in events] == ["logging"] * len(names)
    for event, name in zip(events, names, strict=True):
        assert name in event["logentry"]["formatted"]


def test_only_the_last_attempt_of_a_task_is_an_error(sentry, heliograph_engine):
    """The others are repeated. So is a task that raises `Retry`."""
    events = sentry(HeliographIntegration())

    @task(name="shop:twice", retries=1)
    def twice():
        raise LookupError("no")

    @task(name="shop:once")
    def once():
        raise LookupError("no")

    @task(name="shop:retry")
    def retry():
        if not events:
            events.append("asked")
            raise Retry(after=1)

    retry.enqueue()
    events.clear()
    twice.enqueue()
    once.using(retries=2).enqueue()
    assert events == []
    heliograph_engine.clock.sleep(60)
    heliograph_engine.take_failed_tasks()
    assert sorted(e["transaction"] for e in events if e != "asked") == ["shop:once", "shop:twice"]
    attempts = {e["transaction"]: e["contexts"]["heliograph"]["attempt"] for e in events if e != "asked"}
    assert attempts == {"shop:once": 3, "shop:twice": 2}


def test_what_a_handler_reports_itself_has_its_name_and_breadcrumbs(sentry, heliograph_engine):
    """Those of other handlers do not leak into it."""
    events = sentry(HeliographIntegration())

    @Signal(7).register_handler("mule1")
    def first():
        sentry_sdk.set_tag("leaks", "yes")
        logging.getLogger("shop").warning("one")

    @Signal(8).register_handler("mule1")
    def second():
        logging.getLogger("shop").warning("two")
        sentry_sdk.capture_message("hello")

    Signal(7).send()
    Signal(8).send()
    (event,) = events
    assert event["transaction"].endswith("second")
    assert "leaks" not in event["tags"]
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == ["two"]


def test_the_end_of_a_process_is_no_error(sentry, heliograph_engine):
    """A handler may end it. A task that calls `sys.exit()` has failed."""
    events = sentry(HeliographIntegration())

    @Signal(7).register_handler("mule1")
    def leave():
        raise SystemExit(0)

    @task(name="shop:leaves")
    def leaves():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Signal(7).send()
    leaves.enqueue()
    heliograph_engine.take_failed_tasks()
    assert [exception_of(event)[:3] for event in events] == [("SystemExit", "3", "heliograph")]


def test_other_lines_of_the_log_still_arrive(sentry, heliograph_engine, caplog):
    """A failing stop hook, for example."""
    from heliograph import on_stop

    events = sentry(HeliographIntegration())

    @on_stop
    def stop():
        raise LookupError("stop")

    heliograph_engine.stop_processes("mule1")
    assert [exception_of(event)[:3] for event in events] == [("LookupError", "stop", "logging")]


def test_an_error_of_a_handler_in_a_context_of_flask_arrives_once(sentry, heliograph_engine):
    """Also if Sentry's own integration of Flask is there. Errors of requests stay those of Flask."""
    flask = pytest.importorskip("flask")
    from sentry_sdk.integrations.flask import FlaskIntegration

    from heliograph.contrib.flask import Heliograph

    events = sentry(HeliographIntegration(), FlaskIntegration())
    app = flask.Flask(__name__)
    heliograph = Heliograph()
    heliograph.init_app(app)

    @Signal(7).register_handler("mule1")
    def broken():
        assert flask.current_app
        raise LookupError("handler")

    @app.route("/")
    def view():
        Signal(7).send()
        raise LookupError("view")

    app.test_client().get("/")
    heliograph_engine.take_failures()
    assert [exception_of(event)[1:3] for event in events] == [("handler", "heliograph"), ("view", "flask")]
    assert events[0]["tags"]["heliograph.signal"].endswith("broken")
    assert events[1]["transaction"] == "view"
    assert "heliograph.signal" not in events[1].get("tags", {})


@pytest.mark.usefixtures("django_project")
def test_an_error_of_a_handler_in_a_django_project_arrives_once(sentry, heliograph_engine):
    """Also if Sentry's own integration of Django is there. Errors of requests stay those of Django."""
    from django.test import Client
    from django.urls import path
    from sentry_sdk.integrations.django import DjangoIntegration

    events = sentry(HeliographIntegration(), DjangoIntegration())
    urls = sys.modules["heliograph_test_urls"]

    @Signal(7).register_handler("mule1")
    def broken():
        raise LookupError("handler")

    @task(name="shop:job")
    async def job():
        raise LookupError("task")

    def view(request):
        raise LookupError("view")

    before = list(urls.urlpatterns)
    urls.urlpatterns.append(path("broken/", view))
    try:
        Signal(7).send()
        job.enqueue()
        Client(raise_request_exception=False).get("/broken/", SERVER_NAME="testserver")
    finally:
        urls.urlpatterns[:] = before
    heliograph_engine.take_failures()
    heliograph_engine.take_failed_tasks()
    assert [exception_of(event)[1:3] for event in events] == [
        ("handler", "heliograph"),
        ("task", "heliograph"),
        ("view", "django"),
    ]
