"""The extension of Flask: the application's context in handlers and tasks."""

import asyncio
import sys
import types

import pytest

pytest.importorskip("flask")
from flask import Flask, current_app, g, has_app_context

from heliograph import Signal, task
from heliograph.contrib.flask import Heliograph
from heliograph.exceptions import ConfigError
from heliograph.runtime import handlers, task_hosting

SEEN = []


@pytest.fixture(autouse=True)
def restored(heliograph_engine):
    """Wrappers of this test are removed at its end."""
    SEEN.clear()
    before = list(handlers._WRAPPERS)
    yield
    handlers._WRAPPERS[:] = before
    task_hosting.forget_calls()


def application(name="shop"):
    app = Flask(name)

    @app.teardown_appcontext
    def tear_down(_error):
        SEEN.append(f"{name} ends")

    return app


def note_application():
    SEEN.append(current_app.name)


async def note_application_later():
    await asyncio.sleep(0)
    SEEN.append(current_app.name)


@pytest.mark.parametrize("handler", [note_application, note_application_later, lambda: note_application_later()])  # noqa: PLW0108
def test_handlers_run_in_a_context(handler):
    """Each in one of its own, which ends with it. A lambda that returns a coroutine needs a second one."""
    Heliograph(application())
    signal = Signal()
    signal.register_handler("mule1")(handler)
    signal.send()
    ended = ["shop ends"]
    assert SEEN in (["shop", *ended], [*ended, "shop", *ended])
    assert not has_app_context()


def test_handlers_that_were_registered_before():
    """The extension may be made after tasks were imported."""
    signal = Signal()
    signal.register_handler("workers")(note_application)
    Heliograph(application())
    signal.send()
    assert SEEN == ["shop", "shop ends"] * 2  # in both workers


@pytest.mark.parametrize("function", [note_application, note_application_later])
def test_tasks_run_in_a_context(function):
    """Tasks that have run before, too."""
    declared = task(name="note")(function)
    assert declared.enqueue().wait(0).status == "FAILED"
    Heliograph(application())
    assert declared.enqueue().wait(0).status == "SUCCESSFUL"
    assert SEEN == ["shop", "shop ends"]


def test_context_is_not_shared():
    """Between two handlers, or with the code that sends."""
    Heliograph(app := application())
    signal = Signal()

    @signal.register_handler("mule1")
    def handle():
        SEEN.append(g.get("user"))
        g.user = "handler"

    with app.app_context():
        g.user = "request"
        signal.send()
        signal.send()
        assert g.user == "request"
    assert SEEN == [None, "shop ends", None, "shop ends", "shop ends"]


def test_failure_ends_the_context(heliograph_engine):
    Heliograph(application())
    signal = Signal()

    @signal.register_handler("mule1")
    def fail():
        raise LookupError

    signal.send()
    (run,) = heliograph_engine.take_failures()
    assert isinstance(run.failure, LookupError)
    assert SEEN == ["shop ends"]


def test_factory_of_the_server():
    """It calls `init_app`. Handlers were registered before."""
    extension = Heliograph()
    signal = Signal()
    signal.register_handler("mule1")(note_application)
    app = application()
    extension.init_app(app)
    assert app.extensions["heliograph"] is extension
    signal.send()
    assert SEEN == ["shop", "shop ends"]


@pytest.mark.parametrize("by_name", [True, False])
def test_process_without_an_application_calls_the_factory(monkeypatch, by_name):
    """Once. The factory may call `init_app`."""
    made = []

    def create_app():
        made.append(application("made"))
        extension.init_app(made[-1])
        return made[-1]

    module = types.ModuleType("shop_web")
    module.create_app = create_app
    monkeypatch.setitem(sys.modules, "shop_web", module)
    extension = Heliograph(factory="shop_web:create_app" if by_name else create_app)
    signal = Signal()
    signal.register_handler("mule1")(note_application)
    signal.send()
    signal.send()
    assert SEEN == ["made", "made ends"] * 2
    assert len(made) == 1


def test_process_without_an_application_and_factory(heliograph_engine):
    """The error names the remedy."""
    Heliograph()
    signal = Signal()
    signal.register_handler("mule1")(note_application)
    signal.send()
    (run,) = heliograph_engine.take_failures()
    assert isinstance(run.failure, ConfigError)
    assert "Call init_app(app)" in str(run.failure)


@pytest.mark.parametrize("value", [None, "shop", Flask])
def test_other_objects_are_refused(value):
    with pytest.raises(ConfigError, match="not an application of Flask"):
        Heliograph().init_app(value)
    with pytest.raises(ConfigError, match="not an application of Flask"):
        Heliograph(factory=lambda: value).app  # noqa: B018


def test_last_application_counts():
    """As in tests that make one for each test."""
    extension = Heliograph(application("first"))
    extension.init_app(application("second"))
    signal = Signal()
    signal.register_handler("mule1")(note_application)
    signal.send()
    assert SEEN == ["second", "second ends"]
