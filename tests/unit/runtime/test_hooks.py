"""The hooks of the application's life, on the inline engine."""

import asyncio

import pytest

from heliograph import Failure, Signal, on_failure, on_start, on_stop, task
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.models import Identity
from heliograph.runtime.hooks import START_HOOKS, add_all_hooks
from heliograph.testing import inline_engine

ALL = ["worker1", "worker2", "mule1", "mule2", "spooler1"]


def test_hooks_run_in_each_process_of_their_roles(heliograph_engine):
    """In order at the start, in the opposite order at the end. They may take the process, and may be coroutines."""
    ran = []

    @on_start
    def first():
        ran.append(("first", str(heliograph_engine.identity)))

    @on_start(roles=["mule", "spooler"])
    async def second(process: Identity):
        await asyncio.sleep(0)
        ran.append(("second", str(process)))

    @on_stop(roles="mule")
    def third(process):
        ran.append(("third", str(process)))

    @on_stop
    async def fourth():
        ran.append(("fourth", str(heliograph_engine.identity)))

    assert ran == []
    heliograph_engine.start_processes()
    both = {"mule1", "mule2", "spooler1"}
    assert ran == [(what, by) for by in ALL for what in ("first", "second") if what == "first" or by in both]
    ran.clear()
    heliograph_engine.stop_processes("mule1", "worker2")
    assert ran == [("fourth", "mule1"), ("third", "mule1"), ("fourth", "worker2")]


def test_a_start_hook_runs_at_once_in_processes_that_have_started(heliograph_engine):
    """A module may be imported late."""
    ran = []
    heliograph_engine.start_processes("mule1")
    on_start(lambda: ran.append(str(heliograph_engine.identity)))
    assert ran == ["mule1"]
    heliograph_engine.stop_processes("mule1")
    on_start(lambda: ran.append("again"))
    assert ran == ["mule1"]


def test_a_failing_start_hook_raises_and_a_failing_stop_hook_is_logged(heliograph_engine, caplog):
    """A process must not start without what it needs. It exits in any case."""
    ran = []
    on_stop(lambda: ran.append("other"))

    @on_stop
    def stop():
        raise SystemExit(3)

    @on_start
    def start():
        raise ConnectionError

    with pytest.raises(ConnectionError):
        heliograph_engine.start_processes("mule1")
    heliograph_engine.stop_processes("mule1")
    assert ran == ["other"]
    assert "Stop hook" in caplog.text
    assert "SystemExit: 3" in caplog.text


def test_failures_are_told_once_with_their_facts(heliograph_engine):
    """Of a handler, and of each failed attempt of a task."""
    failures = []
    on_failure(failures.append)

    @Signal(7).register_handler("mule2")
    async def broken():
        raise KeyError("handler")

    @task(name="shop:job", retries=1)
    def job():
        raise ValueError("task")

    Signal(7).send()
    result = job.enqueue()
    heliograph_engine.clock.sleep(60)
    heliograph_engine.take_failures()
    heliograph_engine.take_failed_tasks()
    signal, first, last = failures
    assert (signal.signal.num, signal.signal.target, signal.task, signal.is_final) == (7, "mule2", None, True)
    assert signal.name.endswith("broken")
    assert isinstance(signal.error, KeyError)
    assert [(f.name, f.task.id, f.task.attempt, f.is_final, f.signal) for f in (first, last)] == [
        ("shop:job", result.id, 1, False, None),
        ("shop:job", result.id, 2, True, None),
    ]
    assert isinstance(last.error, ValueError)


@pytest.mark.parametrize("error", [LookupError("hook"), SystemExit("hook")])
def test_a_failing_failure_hook_changes_nothing(heliograph_engine, caplog, error):
    """It is logged. The next hook runs, the failure is counted once, and the next signal is handled."""
    told = []

    @on_failure
    async def fail(failure: Failure):
        raise error

    on_failure(told.append)

    @Signal(7).register_handler("mule1")
    def broken():
        raise KeyError("handler")

    Signal(7).send()
    Signal(7).send()
    assert len(told) == len(heliograph_engine.take_failures()) == 2
    assert "Failure hook" in caplog.text
    assert f"{type(error).__name__}: hook" in caplog.text


def test_nothing_is_told_of_what_succeeds(heliograph_engine):
    """Handlers and tasks that return."""
    told = []
    on_failure(told.append)
    Signal(7).register_handler("mule1")(lambda: None)
    Signal(7).send()
    task(name="shop:well")(lambda: 1).enqueue()
    assert told == []


def _generator():
    yield


@pytest.mark.parametrize("decorator", [on_start, on_stop, on_failure])
@pytest.mark.parametrize(
    ("func", "message"),
    [
        (42, "Pass a callable"),
        (_generator, "is a generator function"),
        (lambda _one, _two: None, "Pass a function with"),
    ],
)
def test_what_cannot_be_a_hook_is_refused(heliograph_engine, decorator, func, message):
    """The error names the function, and what to pass."""
    with pytest.raises(SignalTypeError, match=message):
        decorator(func)


def test_an_unknown_role_is_refused(heliograph_engine):
    """The error lists the roles."""
    with pytest.raises(TargetError, match="Use one of: worker, mule, spooler"):
        on_start(roles="master")
    with pytest.raises(TargetError):
        on_stop(roles=("mule", "mules"))


def test_hooks_of_the_application_reach_a_new_engine():
    """As its handlers do. What a test adds is forgotten at its end."""
    before = list(START_HOOKS)
    with inline_engine() as engine:
        ran = []
        on_start(lambda: ran.append("one"))
        add_all_hooks(engine)
        engine.start_processes("mule1")
        assert ran == ["one", "one"]
    assert before == START_HOOKS


def test_a_process_without_a_server_runs_no_hooks():
    """It takes no signals."""
    engine = DetachedEngine()
    engine.on_start(lambda: pytest.fail("started"))
    engine.on_stop(lambda: pytest.fail("stopped"))
