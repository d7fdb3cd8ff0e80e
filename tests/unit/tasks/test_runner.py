"""Turns of the runner: a store that fails, a process that has to exit, forks, nested turns, and time limits."""

import itertools
import os
import threading
import time
from types import SimpleNamespace

import pytest

from heliograph import Signal, TaskStatus, get_result, task
from heliograph._core.tasks.values import ClaimRequest, NewTask
from heliograph.exceptions import StoreError
from heliograph.interfaces import HandlerInterrupted
from heliograph.runtime.task_hosting import RUNNER
from heliograph.store.faults import damaged
from heliograph.store.memory_owner import MemoryOwner
from heliograph.tasks import attempts
from heliograph.tasks.speeds import Speeds
from heliograph.tasks.time_limits import TimeLimits


def test_a_store_that_fails_is_tried_again(engine, monkeypatch, caplog):
    """After one second, and less often later. Each failure is logged, and nothing is lost."""
    real, calls = MemoryOwner.turn, []

    def turn(self, request):
        calls.append(engine.clock.time())
        if len(calls) <= 8:
            raise StoreError("no task was claimed in x: the disk is full.", "x")
        return real(self, request)

    monkeypatch.setattr(MemoryOwner, "turn", turn)
    result = task(name="shop:one")(lambda: 1).enqueue()
    assert result.wait(200).return_value == 1
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(calls[:9])]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len([record for record in caplog.records if "the disk is full" in record.getMessage()]) == 8


def test_damage_of_the_store_is_logged_once(engine, monkeypatch, caplog):
    """Until it is repaired, each attempt fails in the same way."""
    real, texts = MemoryOwner.turn, ["x is damaged: a"] * 3 + ["x is damaged: b"] * 2

    def turn(self, request):
        if texts:
            raise damaged("x", texts.pop(0))
        return real(self, request)

    monkeypatch.setattr(MemoryOwner, "turn", turn)
    result = task(name="shop:one")(lambda: 1).enqueue()
    assert result.wait(200).return_value == 1
    logged = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert ["damaged: a" in text for text in logged] == [True, False]


def test_a_process_that_has_to_exit_gives_back_what_has_not_begun(engine):
    """The running task ends, and the others wait for the next process."""
    seen = []

    def first(number):
        seen.append(number)
        if number == 3:
            RUNNER.interrupt()

    one = task(name="shop:first")(first)
    for number in (1, 2):
        one.enqueue(number)  # so that it counts as fast, and a batch has several
    with engine.paused():
        results = one.enqueue_many([(3,), (4,), (5,)])
    assert seen == [1, 2, 3, 4, 5]  # the inline engine wakes a process again, which is a new one to the runner
    assert [result.wait(0).attempts for result in results] == [1, 1, 1]


def test_a_handler_that_is_interrupted_does_not_count(engine):
    """Its event loop ended, because the process exits. The task runs again."""
    seen = []

    def interrupted():
        seen.append(1)
        if len(seen) == 1:
            raise HandlerInterrupted

    result = None
    with pytest.raises(HandlerInterrupted):
        task(name="shop:interrupted")(interrupted).enqueue()
    engine.wake("default")
    (result,) = engine.enqueued
    assert (result.status, result.attempts, len(seen)) == (TaskStatus.SUCCESSFUL, 1, 2)


def test_a_task_that_waits_for_a_signal(engine):
    """Handlers run in the meantime, other tasks do not. They run afterwards."""
    seen = []
    inner = task(name="shop:inner", target="mule1")(lambda: seen.append("inner"))
    Signal(3).register_handler("mule1")(lambda: seen.append("handler"))

    def waiting():
        inner.enqueue()
        Signal(3).send()
        Signal(3).wait(1)
        seen.append("waited")

    task(name="shop:waiting", target="mule1")(waiting).enqueue()
    assert seen == ["handler", "waited", "inner"]


def test_slow_functions_end_their_batch(engine, monkeypatch):
    """Those that were never run, too. So no task waits for the end of a slow one."""
    requests = []
    real = MemoryOwner.turn

    def turn(self, request: ClaimRequest):
        batch = real(self, request)
        requests.append([claim.name for claim in batch.claims])
        return batch

    monkeypatch.setattr(MemoryOwner, "turn", turn)
    fast = task(name="shop:fast")(lambda: None)
    slow = task(name="shop:slow")(lambda: time.sleep(0.06))
    fast.enqueue()
    requests.clear()
    with engine.paused():
        fast.enqueue_many([()] * 3)
        slow.enqueue()
        fast.enqueue()
    assert requests[0] == ["shop:fast"] * 3 + ["shop:slow"]
    assert ["shop:fast"] in requests


def test_speeds():
    """A moving average decides. A function that was never run is slow."""
    speeds = Speeds(0.05)
    known = {"a": None, "b": None}
    assert speeds.slow(known) == {"a", "b"}
    speeds.add("a", 0.0001)
    assert speeds.slow(known) == {"b"}
    for _ in range(20):
        speeds.add("a", 1.0)
    assert speeds.slow(known) == {"a", "b"}


def test_a_time_limit_is_over_with_the_block():
    """Nothing happens after it. A limit that is exceeded calls the function once."""
    limits, calls = TimeLimits(), []
    ended = threading.Event()

    def exceeded():
        calls.append(1)
        ended.set()
        return False  # so that this process lives on

    with limits.limited(60, exceeded):
        pass
    with limits.limited(0.01, exceeded):
        assert ended.wait(5)
    assert calls == [1]


def test_a_limit_that_comes_too_late_changes_nothing(engine, monkeypatch):
    """The attempt has ended at that moment."""
    kept = []

    class Late(TimeLimits):
        def limited(self, seconds, exceeded):
            kept.append(exceeded)
            return super().limited(seconds, exceeded)

    monkeypatch.setattr(attempts, "_LIMITS", Late())
    result = task(name="shop:limited", time_limit=60)(os.getpid).enqueue().wait()
    assert kept[0]() is False
    result.refresh()
    assert result.status is TaskStatus.SUCCESSFUL


@pytest.mark.parametrize(
    ("retry_on", "status"),
    [(TimeoutError, TaskStatus.READY), (OSError, TaskStatus.READY), (KeyError, TaskStatus.FAILED)],
)
def test_an_exceeded_limit_is_a_timeout_error(engine, retry_on, status):
    """`retry_on` decides about it as about an exception that the function raises."""
    definition = task(name="shop:limited", time_limit=60, retries=1, retry_on=retry_on)(os.getpid).definition
    claim = SimpleNamespace(name=definition.name, id="1", attempt=1, overrides=b"")
    outcomes = []
    owner = SimpleNamespace(finish=lambda _claim, outcome, _now: outcomes.append(outcome))
    assert attempts.Attempt(definition, claim, owner, engine.task_store())._exceed_limit()
    assert [outcome.status for outcome in outcomes] == [status]


def test_a_target_without_a_function_is_looked_after(engine):
    """Also if the task comes, or is resumed, long after the start of the processes."""
    store, seen = engine.task_store(), []

    def one(number):
        seen.append((number, str(engine.identity)))

    task(name="shop:one", target="mule1")(one)
    task(name="shop:two", target="mule2")(lambda: None).enqueue()
    engine.wake("mule1")
    for number, target in enumerate(("farm_gone", "mule9"), 1):
        store.enqueue([NewTask("shop:one", target, b"[[%d],{}]" % number)], int(engine.clock.time() * 1e6))
        engine.wake(target)
    assert seen == [(1, "mule1"), (2, "mule1")]
    store.pause("mule9", "test", 0)
    store.enqueue([NewTask("shop:one", "mule9", b"[[3],{}]")], int(engine.clock.time() * 1e6))
    engine.wake("mule9")
    assert len(seen) == 2
    store.resume("mule9")
    engine.wake("mule9")
    assert seen[2:] == [(3, "mule1")]


def test_a_deferred_task_of_a_target_without_a_function_runs_in_time(engine):
    task(name="shop:one", target="mule1")(lambda: 1)
    time = engine.clock.time()
    (stored,) = engine.task_store().enqueue([NewTask("shop:one", "mule9", run_after=int((time + 60) * 1e6))], 0)
    engine.wake_at("mule9", time + 60)
    engine.clock.sleep(59)
    assert get_result(stored.id).status is TaskStatus.READY
    assert get_result(stored.id).wait(2).status is TaskStatus.SUCCESSFUL
