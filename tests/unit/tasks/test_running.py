# ruff: noqa: ARG005, PLW0108
"""Attempts of tasks on the inline engine: outcomes, further attempts, and exceptions that bite."""

import asyncio
import json
import logging
import math
import os
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from heliograph import (
    NoRetry,
    Retry,
    TaskStatus,
    get_result,
    progress,
    register_cron,
    register_file_monitor,
    register_timer,
    task,
)
from heliograph._core.tasks.values import NewTask
from heliograph.exceptions import InvalidTask, TaskArgumentError, TaskNotFinished, TaskNotFound
from heliograph.models import DEFAULT_TASK_BYTES, MICROSECONDS
from heliograph.runtime.tasks import get_tasks
from heliograph.tasks.context import TaskContext
from heliograph.tasks.outcomes import MAX_TRACEBACK_CHARACTERS
from heliograph.tasks.registry import TASKS
from heliograph.tasks.sizes import max_bytes
from heliograph.testing import InlineEngine, inline_engine

START = datetime(2026, 1, 1, tzinfo=UTC)


def make(func, **options):
    """A task of a function that is defined in a test."""
    return task(name=f"shop:{func.__name__.strip('<>')}", **options)(func)


def run(func, *args, **options):
    """Enqueue a task, let it end, and return its result."""
    return make(func, **options).enqueue(*args).wait()


def test_a_task_runs_at_once(engine):
    """With its arguments, in a process of its target. Its value is kept."""

    def add(a: int, b: int = 2) -> dict[str, int]:
        return {"sum": a + b, "pid": os.getpid(), "in": str(engine.identity)}

    result = make(add, target="mule2").enqueue(1, b=5)
    assert result.status is TaskStatus.READY
    result.refresh()
    assert result.status is TaskStatus.SUCCESSFUL
    assert result.return_value == {"sum": 6, "pid": os.getpid(), "in": "mule2"}
    assert (result.args, result.kwargs, result.attempts, result.errors) == ([1], {"b": 5}, 1, [])
    assert result.worker_ids == [f"mule2 ({os.getpid()})"]
    assert result.enqueued_at == result.started_at == result.last_attempted_at == result.finished_at == START
    assert get_result(result.id) == result


def test_the_default_target_is_the_spooler(engine):
    """Then a mule, then a worker."""

    def where() -> str:
        return str(engine.identity)

    assert run(where).return_value == "spooler1"


@pytest.mark.heliograph(workers=1, mules=1)
def test_without_a_spooler_a_mule_runs_tasks(engine):
    """The topology has no spooler."""
    assert run(lambda: str(engine.identity)).return_value == "mule1"


@pytest.mark.heliograph(workers=1)
def test_without_mules_a_worker_runs_tasks(engine):
    """So that a task never waits for a process that does not exist."""
    assert run(lambda: str(engine.identity)).return_value == "worker1"


def test_a_call_runs_the_function_here(engine):
    """Without the store, and its exceptions reach the caller."""
    call = task(name="shop:call")(lambda text: int(text))
    assert call("5") == 5
    with pytest.raises(ValueError, match="'x'"):
        call("x")
    assert engine.enqueued == ()


def test_tasks_can_be_looked_at(engine):
    """Also while they wait."""
    send = make(lambda to, subject="": None)
    with engine.paused():
        send.enqueue("a")
        send.using(priority=5, run_after=timedelta(minutes=1), unique="k").enqueue(to="b", subject="Hello")
        first, second = engine.enqueued
    assert (first.name, first.args, first.kwargs, first.status) == ("shop:lambda", ["a"], {}, TaskStatus.READY)
    assert (second.args, second.kwargs) == ([], {"to": "b", "subject": "Hello"})
    assert (second.priority, second.unique, second.run_after) == (5, "k", START + timedelta(minutes=1))
    assert [found.status for found in engine.enqueued] == [TaskStatus.SUCCESSFUL, TaskStatus.READY]


def test_many_tasks_are_one_transaction(engine):
    """One invalid call, and none of them is stored."""
    seen = []

    def note(number: int, text: str = "x"):
        seen.append((number, text))

    results = make(note).enqueue_many([(1,), {"number": 2, "text": "y"}, (3, "z")])
    assert seen == [(1, "x"), (2, "y"), (3, "z")]
    assert len({result.id for result in results}) == 3
    with pytest.raises(TaskArgumentError, match=r"calls\[1\]: invalid argument 'number'"):
        make(note).enqueue_many([(4,), ("five",)])
    with pytest.raises(InvalidTask, match=r"calls\[1\] is 'five'\. Pass a tuple"):
        make(note).enqueue_many([(4,), "five"])
    with pytest.raises(InvalidTask, match=r"invalid calls: None\. Pass an iterable"):
        make(note).enqueue_many(None)
    assert len(seen) == len(engine.enqueued) == 3
    assert make(note).enqueue_many([]) == []


@pytest.mark.parametrize("timeout", ["x", timedelta(seconds=1), -1])
def test_a_wrong_timeout_is_named(engine, timeout):
    with pytest.raises(ValueError, match=r"invalid timeout: .*\. Pass seconds, 0 or more"):
        make(lambda: None).enqueue().wait(timeout=timeout)


def test_characters_of_an_exception_cannot_garble_the_log(engine, caplog):
    def fail():
        raise ValueError("a\x00b\x1b[2J\u202ec é")

    make(fail).enqueue().wait()
    logged = caplog.handler.format(caplog.records[-1])
    assert logged.splitlines()[0].endswith(r"ValueError: a\x00b\x1b[2J\u202ec é")
    assert logged.splitlines()[-1] == r"ValueError: a\x00b\x1b[2J\u202ec é"
    assert not {"\x00", "\x1b", "\u202e"} & set(logged)


def test_priorities(engine):
    """A larger one runs earlier, equal ones in the order of enqueueing."""
    order = []
    note = make(order.append, target="mule1")
    with engine.paused():
        for number, priority in enumerate([0, -100, 5, 100, 5]):
            note.using(priority=priority).enqueue(number)
    assert order == [3, 2, 4, 0, 1]


def test_a_task_waits_for_its_time(engine):
    """A time from now, and a time with a zone. The clock of the test passes in a wait."""
    stamp = make(lambda: engine.clock.time())
    soon = stamp.using(run_after=timedelta(seconds=90)).enqueue()
    later = stamp.using(run_after=START + timedelta(hours=1)).enqueue()
    assert soon.run_after == START + timedelta(seconds=90)
    engine.clock.sleep(89.9)
    soon.refresh()
    assert soon.status is TaskStatus.READY
    assert later.wait(4000).return_value - START.timestamp() == pytest.approx(3600, abs=0.001)
    soon.refresh()
    assert soon.return_value - START.timestamp() == pytest.approx(90, abs=0.001)


def test_a_wait_ends_in_time(engine):
    """With an error that is a `TimeoutError`."""
    result = make(lambda: None).using(run_after=timedelta(seconds=90)).enqueue()
    with pytest.raises(TaskNotFinished, match=r"not finished within 60 s") as caught:
        result.wait(timeout=60)
    assert isinstance(caught.value, TimeoutError)
    assert engine.clock.time() - START.timestamp() == pytest.approx(60)
    assert result.status is TaskStatus.READY
    with pytest.raises(ValueError, match="Task has not finished yet"):
        result.return_value  # noqa: B018 - the property raises
    for wrong in (-1, "5", math.nan):
        with pytest.raises(ValueError, match=f"invalid timeout: {wrong!r}"):
            result.wait(wrong)
    assert result.wait(30) is result


def test_an_unknown_id_is_an_error_at_once(engine):
    """Whatever it is."""
    for task_id in ("", "1f-00", "x" * 10_000, None, 5, b"1f"):
        with pytest.raises(TaskNotFound):
            get_result(task_id)


def test_a_result_of_another_function_is_refused(engine):
    """`Task.get_result` returns results of its own function only."""
    one, other = make(lambda: None), task(name="other")(lambda: None)
    result = one.enqueue()
    assert one.get_result(result.id).id == result.id
    with pytest.raises(ValueError, match="calls shop:lambda, not other"):
        other.get_result(result.id)


def test_a_result_is_removed_in_time(engine):
    """After `result_ttl`, failures too."""

    def fail():
        raise LookupError

    done, failed = make(lambda: None, result_ttl=10).enqueue(), make(fail, result_ttl=timedelta(seconds=20)).enqueue()
    engine.clock.sleep(9)
    done.refresh()
    engine.clock.sleep(3)
    with pytest.raises(TaskNotFound):
        done.refresh()
    failed.refresh()
    engine.clock.sleep(10)
    with pytest.raises(TaskNotFound):
        failed.refresh()


@pytest.mark.parametrize("ttl", [0, 9.9])
def test_a_result_is_kept_until_a_caller_can_read_it(engine, ttl):
    """Also with a `result_ttl` of 0: `wait()` needs it."""
    kept = make(lambda: 7, result_ttl=ttl).enqueue()
    engine.clock.sleep(8)
    assert kept.wait(timeout=0).return_value == 7
    engine.clock.sleep(4)
    with pytest.raises(TaskNotFound):
        kept.refresh()


def test_a_task_that_fails_is_repeated(engine):
    """With delays that double, then it has failed. Each attempt leaves its error."""
    times = []

    def fail(context):
        times.append(engine.clock.time() - START.timestamp())
        raise LookupError(f"attempt {context.attempt}")

    result = run(fail, retries=3, backoff=10, max_backoff=30)
    assert times == pytest.approx([0, 10, 30, 60], abs=0.001)
    assert (result.status, result.attempts) == (TaskStatus.FAILED, 4)
    assert [error.exception_class_path for error in result.errors] == ["builtins.LookupError"] * 4
    assert result.errors[3].traceback.endswith("LookupError: attempt 4\n")
    assert "heliograph/tasks" not in result.errors[0].traceback
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018 - the property raises


def test_failed_tasks_can_be_taken(engine):
    """Those that failed since, and whose results nobody has read. Also those that wait for another attempt."""
    errors = [LookupError, LookupError, Retry, None]

    def fail():
        error = errors.pop(0)
        if error is not None:
            raise error

    assert engine.take_failed_tasks() == ()
    failing = make(fail, retries=9, backoff=60, max_backoff=60)
    result = failing.enqueue()
    (first,) = engine.take_failed_tasks()
    assert (first.id, first.status, first.attempts) == (result.id, TaskStatus.READY, 1)
    assert first.error.endswith("LookupError\n")
    assert engine.take_failed_tasks() == ()
    engine.clock.sleep(61)
    assert [task.attempts for task in engine.take_failed_tasks()] == [2]
    engine.clock.sleep(61)
    assert engine.take_failed_tasks() == ()  # it raised Retry
    engine.clock.sleep(61)
    assert (engine.take_failed_tasks(), engine.enqueued[0].status) == ((), TaskStatus.SUCCESSFUL)


@pytest.mark.parametrize(
    "read", [lambda result: result.refresh(), lambda result: result.wait(), lambda result: get_result(result.id)]
)
def test_a_failed_task_whose_result_was_read_is_taken(engine, read):
    result = make(fail_now).enqueue()
    read(result)
    assert engine.take_failed_tasks() == ()
    make(fail_now).enqueue()
    assert len(engine.take_failed_tasks()) == 1


def test_thousands_of_attempts(engine):
    """The delay stays at its maximum."""
    count = []

    def fail():
        count.append(1)
        raise LookupError

    assert run(fail, retries=2000, backoff=1, max_backoff=5).attempts == 2001
    assert len(count) == 2001


def test_without_retries_a_failure_is_final(engine):
    """The default."""

    def fail():
        raise LookupError

    assert run(fail).attempts == 1


def test_retry_says_when(engine):
    """Without `retries=` each one is followed. With it, they count."""
    times = []

    def again(limit):
        times.append(engine.clock.time() - START.timestamp())
        if len(times) < limit:
            raise Retry(after=100, reason="busy")

    again_ = make(again)
    result = again_.enqueue(4).wait()
    assert result.status is TaskStatus.SUCCESSFUL
    assert times == pytest.approx([0, 100, 200, 300], abs=0.001)
    assert result.errors[0].traceback.endswith("Retry: busy\n")
    times.clear()
    assert again_.using(retries=1).enqueue(4).wait().status is TaskStatus.FAILED
    assert len(times) == 2


@pytest.mark.parametrize(
    ("retry_on", "error", "attempts"),
    [
        (OSError, ConnectionResetError, 3),
        ((LookupError, ConnectionError), ConnectionResetError, 3),
        ([LookupError], KeyError, 3),
        (None, KeyError, 3),
        (OSError, LookupError, 1),
        ((LookupError, ConnectionError), TimeoutError, 1),
        (OSError, SystemExit, 1),
        (NoRetry, NoRetry, 1),
        (None, NoRetry, 1),
        (None, type("CardDeclined", (NoRetry,), {}), 1),
    ],
)
def test_only_some_exceptions_have_a_further_attempt(engine, retry_on, error, attempts):
    def fail():
        raise error

    result = run(fail, retries=2, retry_on=retry_on)
    assert (result.status, result.attempts) == (TaskStatus.FAILED, attempts)


def test_retry_is_followed_whatever_exceptions_have_a_further_attempt(engine):
    def again():
        raise Retry

    assert run(again, retries=2, retry_on=OSError).attempts == 3


def test_no_retry_ends_a_task_that_follows_every_retry(engine):
    left = [Retry, NoRetry, Retry]

    def again():
        raise left.pop(0)

    result = run(again)
    assert (result.status, result.attempts, left) == (TaskStatus.FAILED, 2, [Retry])


@pytest.mark.parametrize("retry_on", [(), "OSError", (OSError, "KeyError"), int, OSError()])
def test_what_is_no_exception_cannot_have_a_further_attempt(engine, retry_on):
    with pytest.raises(InvalidTask, match=r"invalid retry_on: .* Pass classes of exceptions"):
        task(retries=2, retry_on=retry_on)


def test_exceptions_without_retries_are_an_error(engine):
    with pytest.raises(InvalidTask, match=r"retry_on without retries: .*OSError.* Pass retries= too"):
        task(retry_on=OSError)


@pytest.mark.parametrize("option", [{"retry_on": OSError}, {"limit": 2}, {"rate": "1/m"}])
def test_options_of_a_function_cannot_be_those_of_one_task(engine, option):
    """They would have no effect."""
    with pytest.raises(TypeError, match=r"is an option of the function\. Pass it to @task"):
        make(lambda: None, retries=1).using(**option)


def test_options_of_one_task(engine):
    """`using` changes them, and can be chained."""

    def fail():
        raise LookupError

    failing = make(fail, retries=5)
    changed = failing.using(retries=1).using(backoff=3)
    assert changed.enqueue().wait().attempts == 2
    assert failing.enqueue().wait().attempts == 6
    assert engine.clock.time() - START.timestamp() == pytest.approx(3 + 31, abs=0.01)


def test_a_target_of_one_task(engine):
    """One that a task was declared with, or the error lists them."""
    where = make(lambda: str(engine.identity))
    task(name="other", target="mule2")(lambda: None)
    assert where.using(target="mule2").enqueue().wait().return_value == "mule2"
    with pytest.raises(ValueError, match=r"'worker1': no task .*Use one of: default, mule2"):
        where.using(target="worker1")


def test_unique_tasks(engine):
    """While one waits or runs, that one comes back. A key belongs to its function."""
    seen = []

    def note(number):
        seen.append(number)
        if number == 1:
            inner = make(note).using(unique="k").enqueue(2)
            assert inner.status is TaskStatus.RUNNING
            seen.append(inner.id)

    first = make(note, unique="k").enqueue(1)
    assert seen == [1, first.id]
    assert make(note).using(unique="k").enqueue(3).id != first.id
    with engine.paused():
        waiting = make(note).using(unique="k").enqueue(4)
        assert make(note).using(unique="k").enqueue(5) == waiting
        other = task(name="other")(seen.append).using(unique="k").enqueue(6)
        assert other.id != waiting.id
    assert seen == [1, first.id, 3, 4, 6]


def fail_now():
    """A task that fails."""
    raise LookupError


@pytest.mark.parametrize("end", ["successful", "failed", "cancelled", "expired", "dead"])
def test_a_unique_key_is_free_after_each_end(engine, end):
    """However long the result is kept."""
    func = fail_now if end == "failed" else (lambda: None)
    keyed = make(func, unique="k", result_ttl=10**6)
    with engine.paused():
        order = keyed.using(expires=timedelta(seconds=5)) if end == "expired" else keyed
        first = order.enqueue()
        if end == "cancelled":
            assert first.cancel()
        if end == "expired":
            engine.clock.sleep(6)
        if end == "dead":
            engine.task_store().rows[first.id].end(TaskStatus.DEAD, int(engine.clock.time() * 1e6))
    first.refresh()
    assert first.status.name.lower() == end
    assert keyed.enqueue().id != first.id
    engine.take_failed_tasks()


def test_a_unique_key_is_held_between_attempts(engine):
    """While the task waits for its next attempt."""
    keyed = make(fail_now, unique="k", retries=1, backoff=60)
    first = keyed.enqueue()
    assert keyed.enqueue().id == first.id
    engine.clock.sleep(61)
    assert keyed.enqueue().id != first.id
    engine.take_failed_tasks()


def test_an_expired_task_does_not_run(engine):
    """From the option of the function, a time from now, or a time with a zone."""
    seen = []
    note = make(seen.append, expires=10)
    with engine.paused():
        old = [
            note.enqueue(1),
            note.using(expires=timedelta(seconds=5)).enqueue(2),
            note.using(expires=START + timedelta(seconds=11)).enqueue(3),
        ]
        kept = note.using(expires=timedelta(seconds=60)).enqueue(4)
        engine.clock.sleep(20)
    assert seen == [4]
    for result in old:
        assert result.wait().status is TaskStatus.EXPIRED
        assert result.attempts == 0
    assert kept.wait().attempts == 1


def test_a_cancelled_task_never_runs(engine):
    """Before it begins. Afterwards `cancel` returns False."""
    seen = []
    note = make(seen.append)
    with engine.paused():
        result = note.enqueue(1)
        assert result.cancel() is True
        assert result.status is TaskStatus.CANCELLED
        assert result.cancel() is False
    done = note.enqueue(2)
    assert done.cancel() is False
    assert done.status is TaskStatus.SUCCESSFUL
    assert seen == [2]
    backing_off = make(fail_now, retries=1).enqueue()
    assert backing_off.cancel() is True
    engine.clock.sleep(100)
    backing_off.refresh()
    assert (backing_off.status, backing_off.attempts) == (TaskStatus.CANCELLED, 1)


def test_rates_let_others_pass(engine):
    """Ten in a minute, and tasks of lower priority in between."""
    begun = []
    limited = make(lambda: begun.append(engine.clock.time() - START.timestamp()), rate="10/m", priority=50)
    other = task(name="other")(lambda: None)
    with engine.paused():
        limited.enqueue_many([()] * 25)
        results = other.enqueue_many([()] * 25)
    assert len(begun) == 10
    assert all(result.wait(0).status is TaskStatus.SUCCESSFUL for result in results)
    engine.clock.sleep(130)
    assert len(begun) == 25
    assert begun[10] >= 60
    assert begun[20] >= 120


class Bad(Exception):
    """An exception whose text cannot be made."""

    def __str__(self):
        raise RuntimeError("no text")


class TwoArguments(Exception):
    """An exception that cannot be made from its `args`."""

    def __init__(self, one, _two):
        super().__init__(one)


def raise_bad():
    raise Bad


def raise_two():
    raise TwoArguments(1, 2)


def raise_huge():
    raise LookupError("x" * 50_000_000)


def raise_odd():
    raise LookupError("\ud800 \x00 end")


def raise_group():
    raise ExceptionGroup("several", [LookupError("one"), ValueError("two")])


def raise_local():
    class LocalError(Exception):
        pass

    raise LocalError("local")


def raise_cycle():
    one, two = LookupError("one"), LookupError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


def raise_deep():
    raise_deep()


def raise_exit():
    sys.exit("bye")


def raise_exit_code():
    sys.exit(0)


def raise_generator_exit():
    raise GeneratorExit


def raise_cancelled():
    raise asyncio.CancelledError


async def raise_async_exit():
    sys.exit(1)


def raise_without_module():
    module = sys.modules.pop("shop_without_module", None)
    error = type("Gone", (Exception,), {"__module__": "shop_without_module"})
    assert module is None
    raise error("gone")


class Nameless(type):
    """A class of exceptions whose name cannot be read."""

    def __getattribute__(cls, name):
        if name in {"__name__", "__qualname__", "__module__"}:
            raise RuntimeError("no name")
        return super().__getattribute__(name)


def raise_nameless():
    raise Nameless("Odd", (Exception,), {})


class Exits(Exception):
    """An exception whose text ends the program."""

    def __str__(self):
        return sys.exit(3)


def raise_exits():
    raise Exits


@pytest.mark.parametrize(
    ("func", "kind", "text"),
    [
        (raise_nameless, "Odd", "Odd"),
        (raise_exits, "Exits", "Exits"),
        (raise_bad, "Bad", "Bad"),
        (raise_two, "TwoArguments", "TwoArguments: 1"),
        (raise_huge, "LookupError", "xxx\n"),
        (raise_odd, "LookupError", "\\ud800 \x00 end\n"),
        (raise_group, "ExceptionGroup", "ValueError: two"),
        (raise_local, "LocalError", "local\n"),
        (raise_cycle, "LookupError", "LookupError: one\n"),
        (raise_deep, "RecursionError", "RecursionError"),
        (raise_exit, "SystemExit", "SystemExit: bye\n"),
        (raise_exit_code, "SystemExit", "SystemExit: 0\n"),
        (raise_generator_exit, "GeneratorExit", "GeneratorExit\n"),
        (raise_cancelled, "CancelledError", "CancelledError"),
        (raise_async_exit, "SystemExit", "SystemExit: 1\n"),
        (raise_without_module, "Gone", "gone\n"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_exceptions_that_bite(engine, func, kind, text):
    """Each is a failed attempt, with a bounded traceback as text. The next task runs."""
    result = run(func, retries=1)
    assert (result.status, result.attempts) == (TaskStatus.FAILED, 2)
    assert len(result.errors) == 2
    for error in result.errors:
        assert error.exception_class_path.endswith(kind)
        assert text in error.traceback
        assert len(error.traceback) < MAX_TRACEBACK_CHARACTERS + 100
    assert json.loads(json.dumps(result.errors[0].traceback).encode()) == result.errors[0].traceback
    assert task(name="next")(lambda: 5).enqueue().wait().return_value == 5


def test_a_keyboard_interrupt_is_not_the_tasks_failure(engine):
    """It reaches the terminal. The task runs again, as after a killed process."""
    seen = []

    def interrupted():
        seen.append(1)
        if len(seen) == 1:
            raise KeyboardInterrupt

    interrupted_ = make(interrupted)
    with pytest.raises(KeyboardInterrupt):
        interrupted_.enqueue()
    engine.wake("default")
    assert len(seen) == 2
    (found,) = engine.enqueued
    assert (found.status, found.attempts) == (TaskStatus.SUCCESSFUL, 2)


def test_a_keyboard_interrupt_in_a_process_of_the_server_is_a_failure(engine, monkeypatch):
    """Its processes ignore SIGINT, so only the function can have raised it."""
    monkeypatch.setattr(engine, "name", "local")
    result = make(lambda: (_ for _ in ()).throw(KeyboardInterrupt)).enqueue()
    assert result.wait().status is TaskStatus.FAILED
    assert result.errors[0].exception_class_path == "builtins.KeyboardInterrupt"


class Raising(logging.Handler):
    """A handler that raises, as `StreamHandler` does if `sys.stderr` is closed too."""

    def emit(self, record):
        raise ValueError(f"I/O operation on closed file: {record.name}")


@pytest.mark.parametrize("retries", [0, 1])
def test_a_failure_that_cannot_be_logged_is_one_all_the_same(engine, retries):
    handler = Raising()
    logging.getLogger("heliograph").addHandler(handler)
    try:
        result = run(raise_two, retries=retries)
    finally:
        logging.getLogger("heliograph").removeHandler(handler)
    assert (result.status, len(result.errors)) == (TaskStatus.FAILED, retries + 1)


class Encodes(dict):
    """A dict whose items raise."""

    def items(self):
        raise RuntimeError("no items")


class Raises:
    """An object that msgspec does not know."""


@pytest.mark.parametrize(
    "value",
    [
        lambda: None,
        "x" * (DEFAULT_TASK_BYTES + 1),
        float("nan"),
        [1, {"a": float("inf")}],
        (number for number in range(3)),
        Raises(),
        {(1, 2): 3},
        "\ud800",
    ],
    ids=["lambda", "large", "nan", "inf", "generator", "object", "keys", "surrogate"],
)
def test_a_return_value_that_cannot_be_kept(engine, value):
    """The task has failed, and is not repeated: it has done its work. The reason is kept."""
    count = []

    def returns():
        count.append(1)
        return value

    result = run(returns, retries=5)
    assert (result.status, len(count)) == (TaskStatus.FAILED, 1)
    assert "return value" in result.errors[0].traceback
    assert task(name="next")(lambda: 5).enqueue().wait().return_value == 5


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ((1, 2), [1, 2]),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        ({"a": None}, {"a": None}),
        (2**63, 2**63),
        (b"\x00", "AA=="),
    ],
)
def test_a_return_value_is_kept_as_json(engine, value, kept):
    """What msgspec can express."""
    assert run(lambda: value).return_value == kept


def test_arguments_that_no_longer_fit(engine):
    """A new version of the function takes others: the task has failed, and the error names the argument."""
    old = task(name="shop:send")(lambda to: None)
    with engine.paused():
        result = old.enqueue(to="a")
        TASKS.replace_all({})
        task(name="shop:send", retries=5)(lambda address: None)
    result.wait(0)
    assert (result.status, result.attempts) == (TaskStatus.FAILED, 1)
    assert "missing a required argument: 'address'" in result.errors[0].traceback


def test_unknown_functions_wait(engine):
    """Others pass by, no attempt counts, and they run when the function is back."""
    seen = []
    old = task(name="shop:old")(lambda: seen.append("old"))
    task(name="shop:new")(lambda: seen.append("new"))
    with engine.paused():
        results = old.enqueue_many([()] * 3)
        TASKS.replace_all({name: known for name, known in TASKS.definitions.items() if "new" in name})
        task(name="shop:new2")(lambda: seen.append("new2")).enqueue()
    assert seen == ["new2"]
    results[0].refresh()
    assert (results[0].status, results[0].attempts) == (TaskStatus.READY, 0)
    task(name="shop:old")(lambda: seen.append("back"))
    engine.wake("default")
    assert seen == ["new2", "back", "back", "back"]
    assert results[0].wait(0).attempts == 1


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((math.nan,), "invalid progress: nan. Pass numbers from 0"),
        ((1, math.nan), "invalid progress: nan"),
        ((math.inf,), "invalid progress: inf"),
        ((1, math.inf), "invalid progress: inf"),
        ((-1,), "invalid progress: -1"),
        ((0, -1.5), "invalid progress: -1.5"),
        ((10**400, 10**401), "invalid progress: 1000"),
        ((5, 4), "invalid progress: 5 of 4. Pass a larger total, or none"),
    ],
)
def test_a_progress_that_is_none_is_a_clear_error(engine, numbers, message):
    """Also in a call of the function itself, whose progress goes nowhere."""
    result = run(lambda: progress(*numbers))
    assert f"ValueError: {message}" in result.errors[0].traceback
    with pytest.raises(ValueError, match="invalid progress"):
        TaskContext("shop:one").progress(*numbers)


@pytest.mark.parametrize("numbers", [(0,), (0, 0), (4, 4), (0.5, 1), (2**63 - 1,)])
def test_a_progress_at_the_edge(engine, numbers):
    assert run(lambda: progress(*numbers)).status is TaskStatus.SUCCESSFUL


def test_progress(engine):
    """Of the running attempt, by the context and by the function. Outside of a task it goes nowhere."""
    shown = []

    def work(context):
        context.progress(1, 4, "first")
        shown.append(get_result(context.id).progress)
        progress(2.5)
        shown.append(get_result(context.id).progress)
        keep.append(context)

    keep: list = []
    work_ = make(work)
    result = work_.enqueue().wait()
    assert shown == [(1, 4, "first"), (2.5, None, "")]
    keep[0].progress(9)  # from a thread that outlives the attempt, for example
    result.refresh()
    assert result.progress in ((2.5, None, ""), None)
    progress(5)
    with pytest.raises(TypeError, match="invalid progress: 'x'"):
        keep[0].progress("x")


def test_a_direct_call_has_a_context(engine):
    """Of its own, or one that the caller passes."""

    def work(context, number):
        context.progress(1)
        return context.attempt, context.id, number

    assert make(work)(5) == (1, "", 5)


def test_a_parameter_context_of_another_type_is_an_argument(engine):
    """The name alone does not decide."""

    def render(context: dict) -> list:
        return sorted(context)

    assert make(render).enqueue({"b": 1, "a": 2}).wait().return_value == ["a", "b"]


def test_async_tasks(engine):
    """They run to their end, also from a test that is a coroutine."""

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    double_ = make(double)
    assert double_.enqueue(4).wait().return_value == 8

    async def use():
        result = await double_.aenqueue(5)
        await result.arefresh()
        assert (await result).return_value == 10
        many = await double_.aenqueue_many([(1,), (2,)])
        return [(await found).return_value for found in many]

    assert asyncio.run(use()) == [2, 4]
    assert asyncio.run(double_(6)) == 12


def test_a_task_enqueues_a_task(engine):
    """It runs after the first one."""
    seen = []
    inner = task(name="inner")(lambda: seen.append("inner"))

    def outer():
        inner.enqueue()
        seen.append("outer")

    make(outer).enqueue()
    assert seen == ["outer", "inner"]


def test_arguments_are_refused_when_enqueued(engine):
    """Nothing is stored."""

    def send(to: str, count: int):
        """A task with annotations."""

    send_ = make(send)
    with pytest.raises(TypeError, match="argument 'count' of shop:send"):
        send_.enqueue("a", "b")
    with pytest.raises(TypeError, match=r"argument 'to' of shop:send.*Store the data elsewhere"):
        send_.enqueue("a" * DEFAULT_TASK_BYTES, 1)
    with pytest.raises(TypeError, match="missing a required argument: 'count'"):
        send_.enqueue("a")
    assert engine.enqueued == ()


def test_logs(engine, caplog):
    """On `heliograph.tasks`: success, each further attempt, and the end of a failure with its traceback."""

    def fail():
        raise LookupError("broken\nline")

    with caplog.at_level(logging.DEBUG, "heliograph.tasks"):
        make(lambda: None).enqueue()
        run(fail, retries=1, backoff=2)
    levels = [(record.levelname, record.getMessage().split(" (")[0]) for record in caplog.records]
    assert ("DEBUG", "Task shop:lambda") in levels
    failures = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.levelname for record in failures] == ["WARNING", "ERROR"]
    assert failures[0].getMessage().startswith("Attempt 1 of task shop:fail (")
    assert "next one in 2 s: LookupError: broken line" in failures[0].getMessage()
    assert failures[1].exc_info
    assert {record.name for record in caplog.records} == {"heliograph.tasks"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("word " * 50, "word " * 38 + "word..."), ("x" * 201, "x" * 197 + "..."), ("x" * 200, "x" * 200)],
)
def test_a_long_text_is_cut_between_words_in_the_log(engine, caplog, text, shown):
    def fail():
        raise ValueError(text)

    run(fail)
    assert caplog.messages[-1].endswith(f": ValueError: {shown}")


def test_each_engine_has_a_store_of_its_own():
    """Without pytest: `inline_engine()` registers the tasks of the application, and forgets those of the test."""
    before = get_tasks()
    for _ in range(2):
        with inline_engine() as one:
            assert isinstance(one, InlineEngine)
            assert task(name="shop:one")(lambda: 1).enqueue().wait().return_value == 1
            assert len(one.enqueued) == 1
    assert get_tasks() == before


def test_tasks_of_a_target_that_no_function_has_any_longer(engine):
    """A new version gave the function another target. Its tasks run in the first target of the new version."""
    seen = []
    time = int(START.timestamp()) * MICROSECONDS
    late = NewTask("shop:moved", "mule1", b"[[2],{}]", run_after=time + 300 * MICROSECONDS)
    engine.task_store().enqueue([NewTask("shop:moved", "mule1", b"[[1],{}]"), late], time)
    task(name="shop:moved")(lambda number: seen.append((number, str(engine.identity))))
    engine.wake("default")  # as each process does at its start
    assert seen == [(1, "spooler1")]
    engine.clock.sleep(301)
    assert seen == [(1, "spooler1"), (2, "spooler1")]


@pytest.mark.parametrize("local", ["America/New_York", "Asia/Tokyo"])
def test_a_cron_rule_at_a_clock_change_enqueues_one_task(engine, monkeypatch, local):
    """At 2:30 in Berlin, which comes never in March and twice in October. The zone of the process does not matter."""
    monkeypatch.setenv("TZ", local)
    time.tzset()
    try:
        runs = []
        register_cron("30 2 * * *", tz="Europe/Berlin", target=make(lambda: runs.append(engine.clock.time())))
        for noon in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
            engine.clock.set(noon.timestamp())
            engine.clock.sleep(86_400)
        moments = [f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}" for at in runs]
        assert moments == ["03-29 01:00", "10-25 00:30"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_size_is_a_setting(engine, monkeypatch):
    """Of arguments and of return values. The server sets the variable for its processes."""
    monkeypatch.setenv("HELIOGRAPH_TASK_BYTES", "2000")
    max_bytes.cache_clear()
    try:
        double = make(lambda text: text * 2)
        assert double.enqueue("x" * 900).wait().status is TaskStatus.SUCCESSFUL
        result = double.enqueue("x" * 1500).wait()
        assert (result.status, "of 2000 at most" in result.errors[0].traceback) == (TaskStatus.FAILED, True)
        with pytest.raises(TypeError, match="of 2000 at most"):
            double.enqueue("x" * 2001)
    finally:
        max_bytes.cache_clear()


def test_each_kind_of_trigger_enqueues_a_task(engine, tmp_path):
    """Once for each of its runs."""
    seen = []
    declared = make(lambda: seen.append(str(engine.identity)), target="mule2")
    register_timer(100, target=declared, name="timer")
    register_cron(minute=7, target=declared, name="cron")
    register_file_monitor(tmp_path, target=declared, name="file")
    engine.clock.sleep(3600)
    assert len(seen) == 36 + 1
    engine.changed(str(tmp_path))
    assert seen == ["mule2"] * 38
    assert len(engine.enqueued) == 38
