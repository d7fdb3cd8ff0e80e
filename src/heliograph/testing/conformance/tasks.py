"""Guarantees J1-J11: tasks, their attempts and their results."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from heliograph import TaskStatus
from heliograph.exceptions import InvalidTask, TargetError, TaskArgumentError, TaskNotFound
from heliograph.testing.conformance.actions import FIRST
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.task_actions import (
    cancel,
    clock_time,
    enqueue_each,
    enqueue_then_pass,
    error_of_put,
    facts,
    finish,
    journal,
    pause,
    put,
    resume,
    text_of,
)
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness, eventually
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.task_models import Colour, Item

_NO_ZONE = datetime(2026, 1, 1)  # noqa: DTZ001 - that is what the test is about

C = Capability


@guarantee("J1", C.MULES)
def test_j1_an_enqueued_task_runs_once(harness: Harness) -> None:
    """With its arguments, in a process of its target. The value is kept."""
    text = text_of("once")
    found = finish(harness, put(harness, "mule1", text))
    assert (found["status"], found["value"], found["attempts"]) == (TaskStatus.SUCCESSFUL, text, 1)
    assert [line.process for line in journal(harness, text)] == ["mule1"]


@guarantee("J1", C.MULES, C.SERVER)
def test_j1_a_killed_process_loses_no_task(harness: ServerHarness) -> None:
    """Tasks that wait for it, or that it has claimed, run after its end."""
    texts = [text_of(f"killed {number}") for number in range(20)]
    with harness.busy("mule2"):
        ids = [put(harness, "mule2", text) for text in texts]
        pid = harness.kill("mule2")
    harness.await_successor("mule2", pid)
    assert [finish(harness, task_id)["value"] for task_id in ids] == texts
    assert [len(journal(harness, text)) for text in texts] == [1] * 20


@guarantee("J2", C.MULES, C.SERVER)
def test_j2_a_task_that_kills_three_processes_is_dead(harness: ServerHarness) -> None:
    """It is kept, with its attempts and who ran them. Other tasks run."""
    text, other = text_of("poison"), text_of("other")
    ids = harness.call(FIRST, enqueue_each, [("kill_process", (text,), {}), ("mule2", (other,), {})])
    found = finish(harness, ids[0])
    assert (found["status"], found["attempts"], len(found["workers"])) == (TaskStatus.DEAD, 3, 3)
    assert len({line.pid for line in journal(harness, text)}) == len(journal(harness, text)) == 3
    assert finish(harness, ids[1])["status"] is TaskStatus.SUCCESSFUL


@guarantee("J2", C.MULES, C.SERVER)
def test_j2_without_redelivery_a_task_runs_at_most_once(harness: ServerHarness) -> None:
    """`redeliver=False`: a killed process is the end of its task."""
    text = text_of("at most once")
    found = finish(harness, put(harness, "kill_process", text, redeliver=False))
    assert (found["status"], found["attempts"]) == (TaskStatus.FAILED, 1)
    assert len(journal(harness, text)) == 1


@guarantee("J3", C.MULES)
def test_j3_a_failed_attempt_is_repeated(harness: Harness) -> None:
    """As often as `retries` says. Each attempt leaves its error."""
    text, hopeless = text_of("fails twice"), text_of("fails for good")
    found = finish(harness, put(harness, "fail_until", 3, text))
    assert (found["status"], found["value"]) == (TaskStatus.SUCCESSFUL, 3)
    assert [line.attempt for line in journal(harness, text)] == [1, 2, 3]
    found = finish(harness, put(harness, "fail_until", 9, hopeless))
    assert (found["status"], found["attempts"]) == (TaskStatus.FAILED, 3)
    assert found["errors"][2][0] == "builtins.LookupError"
    assert found["errors"][2][1].endswith("LookupError: attempt 3 fails on purpose\n")


@guarantee("J3", C.MULES)
def test_j3_system_exit_is_a_failed_attempt(harness: Harness) -> None:
    """The process continues."""
    text, after = text_of("exits"), text_of("after the exit")
    found = finish(harness, put(harness, "leave", text))
    finish(harness, put(harness, "mule1", after))
    assert (found["status"], found["attempts"]) == (TaskStatus.FAILED, 2)
    assert len({line.pid for line in (*journal(harness, text), *journal(harness, after))}) == 1


@guarantee("J3", C.MULES)
def test_j3_a_value_that_cannot_be_kept_is_not_repeated(harness: Harness) -> None:
    """The task has done its work. It has failed, with the reason."""
    text = text_of("returns a function")
    found = finish(harness, put(harness, "return_function", text))
    assert (found["status"], found["attempts"]) == (TaskStatus.FAILED, 1)
    assert "return value (function)" in found["errors"][0][1]
    assert len(journal(harness, text)) == 1


@guarantee("J4", C.MULES)
def test_j4_a_task_waits_for_its_time(harness: Harness) -> None:
    """A time from now, or a time with a zone. It begins then, and not earlier."""
    now = harness.call(FIRST, clock_time)
    zoned = datetime.fromtimestamp(now + 0.6, ZoneInfo("Asia/Tokyo"))
    texts = [text_of("from now"), text_of("zoned")]
    ids = [
        put(harness, "mule1", text, run_after=at)
        for text, at in zip(texts, (timedelta(seconds=0.3), zoned), strict=True)
    ]
    assert facts(harness, ids[1])["status"] is TaskStatus.READY
    harness.advance_time(1.0)
    for task_id, text, due in zip(ids, texts, (now + 0.3, now + 0.6), strict=True):
        finish(harness, task_id)
        (line,) = journal(harness, text)
        assert due - 0.001 <= line.time < due + 1.0


@guarantee("J4", C.MULES)
@pytest.mark.parametrize("value", [_NO_ZONE, -1, 5.0, timedelta(-1), timedelta.max], ids=repr)
def test_j4_an_invalid_time_is_an_error(harness: Harness, value: object) -> None:
    """A time without a zone, a number, and times from now that are negative or too long."""
    error = error_of_put(harness, "mule1", "x", run_after=value)
    assert isinstance(error, InvalidTask)
    assert "run_after" in str(error)


@guarantee("J5", C.MULES)
def test_j5_a_larger_priority_runs_earlier(harness: Harness) -> None:
    """Tasks of the same priority run in the order of enqueueing."""
    texts = [text_of(f"priority {number}") for number in range(5)]
    calls = [
        ("mule1", (text,), {"priority": priority}) for text, priority in zip(texts, (0, -100, 5, 100, 5), strict=True)
    ]
    for task_id in harness.handle("mule1", enqueue_each, calls):
        finish(harness, task_id)
    order = [line.text for line in journal(harness) if line.text in texts]
    assert order == [texts[number] for number in (3, 2, 4, 0, 1)]


@guarantee("J5", C.MULES)
@pytest.mark.parametrize("priority", [101, -101, 1.5, True])
def test_j5_an_invalid_priority_is_an_error(harness: Harness, priority: float) -> None:
    """It is a whole number from -100 to 100."""
    assert isinstance(error_of_put(harness, "mule1", "x", priority=priority), InvalidTask)


@guarantee("J6", C.MULES)
def test_j6_a_unique_task_is_not_added_twice(harness: Harness) -> None:
    """While one with the key waits or runs, that one comes back. Afterwards the key is free."""
    text, key = text_of("unique"), text_of("key")
    first, second = harness.handle("mule1", enqueue_each, [("mule1", (text,), {"unique": key})] * 2)
    assert first == second
    finish(harness, first)
    third = put(harness, "mule1", text, unique=key)
    assert third != first
    finish(harness, third)
    assert len(journal(harness, text)) == 2


@guarantee("J7", C.MULES, C.SERVER)
def test_j7_a_limit_holds_for_the_whole_server(harness: ServerHarness) -> None:
    """Two mules run tasks of a function with `limit=1` one after another."""
    texts = [text_of(f"limited {number}") for number in range(6)]
    ids = harness.call(FIRST, enqueue_each, [("one_at_a_time", (text,), {}) for text in texts])
    for task_id in ids:
        finish(harness, task_id)
    steps = [line.text for line in journal(harness) if "limited" in line.text]
    assert len(steps) == 12
    assert steps[1::2] == [step.replace("begins", "ends") for step in steps[::2]]


@guarantee("J7", C.MULES, C.FAKE_CLOCK)
def test_j7_a_rate_lets_other_tasks_pass(harness: Harness) -> None:
    """Two in a minute. The others wait, and tasks of lower priority run."""
    text, other = text_of("rated"), text_of("passes")
    calls = [("twice_a_minute", (text,), {"priority": 50})] * 5
    ids = harness.handle("mule1", enqueue_each, [*calls, ("mule1", (other,), {})])
    finish(harness, ids[-1])
    assert len(journal(harness, text)) == 2
    harness.advance_time(180)
    times = [line.time for line in journal(harness, text)]
    assert len(times) == 5
    assert times[2] - times[0] >= 60
    assert times[4] - times[2] >= 60


@guarantee("J7", C.MULES)
def test_j7_an_expired_task_does_not_run(harness: Harness) -> None:
    """It was still waiting when its time had passed."""
    text = text_of("expired")
    task_id = harness.handle("mule1", enqueue_then_pass, "mule1", text, 0.05)
    found = finish(harness, task_id)
    assert (found["status"], found["attempts"]) == (TaskStatus.EXPIRED, 0)
    assert journal(harness, text) == []


@guarantee("J7", C.MULES, C.SERVER)
def test_j7_a_time_limit_ends_the_process(harness: ServerHarness) -> None:
    """The attempt has failed, with the limit as its error. Other tasks run."""
    text, other = text_of("too long"), text_of("after too long")
    found = finish(harness, put(harness, "too_long", text))
    assert (found["status"], found["attempts"]) == (TaskStatus.FAILED, 1)
    assert "time limit" in found["errors"][0][1]
    finish(harness, put(harness, "mule2", other))
    assert journal(harness, text)[0].pid != journal(harness, other)[0].pid


@guarantee("J8", C.MULES)
def test_j8_arguments_come_back_as_they_were(harness: Harness) -> None:
    """By the annotations of the function, afresh for each attempt."""
    when = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    item = Item("a", Decimal("1.10"))
    found = finish(harness, put(harness, "typed", when, UUID(int=5), item, Colour.RED))
    assert found["attempts"] == 2
    assert found["value"] == [
        "2026-10-25T02:30:00+02:00",
        str(UUID(int=5)),
        "Item(name='a', price=Decimal('1.10'))",
        "RED",
    ]


@guarantee("J8", C.MULES)
@pytest.mark.parametrize(
    "value",
    [5, None, "\ud800", b"bytes", "x" * 2**20],
    ids=lambda value: str(value)[:9].encode("ascii", "replace").decode(),
)
def test_j8_an_argument_that_cannot_be_kept_is_an_error(harness: Harness, value: object) -> None:
    """The TypeError of the enqueue call names the argument, and nothing is stored."""
    error = error_of_put(harness, "mule1", value)
    assert isinstance(error, TaskArgumentError)
    assert isinstance(error, TypeError)
    assert "'text'" in str(error)


@guarantee("J9", C.MULES)
def test_j9_a_result_tells_status_times_and_workers(harness: Harness) -> None:
    """`get_result` works in every process. An unknown id is an error."""
    before = harness.call(FIRST, clock_time)
    task_id = put(harness, "mule1", text_of("result"))
    found = finish(harness, task_id)
    after = harness.call(FIRST, clock_time)
    times = [found[name].timestamp() for name in ("enqueued_at", "started_at", "last_attempted_at", "finished_at")]
    assert [before - 0.001, *times, after + 0.001] == sorted([before - 0.001, *times, after + 0.001])
    assert found["workers"] == [f"mule1 ({journal(harness, found['value'])[0].pid})"]
    assert facts(harness, task_id, "mule2") == found
    with pytest.raises(TaskNotFound):
        facts(harness, "0-0123456789abcdef")


@guarantee("J9", C.MULES)
def test_j9_async_tasks_run_to_their_end(harness: Harness) -> None:
    """Their value is kept."""
    assert finish(harness, put(harness, "double", 21))["value"] == 42


@guarantee("J10", C.MULES)
def test_j10_a_cancelled_task_never_runs(harness: Harness) -> None:
    """Before it has begun. Afterwards `cancel()` returns False."""
    text, done = text_of("cancelled"), text_of("not cancelled")
    task_id = put(harness, "mule1", text, run_after=timedelta(seconds=0.3))
    assert harness.call(FIRST, cancel, task_id) is True
    assert harness.call(FIRST, cancel, task_id) is False
    finished = put(harness, "mule1", done, run_after=timedelta(seconds=0.4))
    harness.advance_time(1)
    finish(harness, finished)
    assert harness.call(FIRST, cancel, finished) is False
    assert facts(harness, task_id)["status"] is TaskStatus.CANCELLED
    assert journal(harness, text) == []


@guarantee("J10", C.MULES, C.SERVER)
def test_j10_progress_can_be_seen(harness: ServerHarness) -> None:
    """While the task runs, in every process."""
    unblock = harness.new_path("progress")
    task_id = put(harness, "report_progress", str(unblock))
    eventually("the progress", lambda: facts(harness, task_id)["progress"] == (2, 3, "two of three"))
    assert facts(harness, task_id)["status"] is TaskStatus.RUNNING
    unblock.touch()
    assert finish(harness, task_id)["status"] is TaskStatus.SUCCESSFUL


@guarantee("J10", C.MULES)
def test_j10_a_paused_target_waits(harness: Harness) -> None:
    """Until `resume`. Other targets do not."""
    text, other = text_of("paused"), text_of("not paused")
    harness.call(FIRST, pause, "mule1")
    try:
        task_id = put(harness, "mule1", text)
        finish(harness, put(harness, "spooler", other))
        assert facts(harness, task_id)["status"] is TaskStatus.READY
    finally:
        harness.call(FIRST, resume, "mule1")
    assert finish(harness, task_id)["status"] is TaskStatus.SUCCESSFUL


@guarantee("J11", C.MULES)
@pytest.mark.parametrize(
    ("target", "processes"),
    [
        ("default", ["spooler1"]),
        ("spooler", ["spooler1"]),
        ("worker", ["worker1", "worker2"]),
        ("worker2", ["worker2"]),
        ("mule", ["mule1", "mule2"]),
        ("mule2", ["mule2"]),
        ("farm_crunchers", ["mule1", "mule2"]),
    ],
)
def test_j11_a_task_runs_in_its_target(harness: Harness, target: str, processes: list[str]) -> None:
    """Any target but those that mean several processes at once. The default is the spooler."""
    text = text_of(f"in {target}")
    finish(harness, put(harness, target, text, process="mule1"))
    (line,) = journal(harness, text)
    assert line.process in processes


@guarantee("J11", C.MULES)
@pytest.mark.parametrize("target", ["workers", "mules", "active-workers", "worker9", "nowhere", "worker1"])
def test_j11_an_invalid_target_is_an_error(harness: Harness, target: str) -> None:
    """A broadcast, one that the server does not have, and one that no task was declared with."""
    error = error_of_put(harness, "mule1", "x", target=target)
    assert isinstance(error, TargetError)
    assert repr(target) in str(error)
