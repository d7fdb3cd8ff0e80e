"""Single tasks on the page, from a real store."""

import time

import pytest

from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.ipc.store_directory import make_directory
from heliograph.store.sqlite import SqliteStore
from heliograph.web.task_lists import NO_TASKS, TaskListReader

NAME = "shop.tasks:send_mail"


def now():
    return time.time_ns() // 1000


@pytest.fixture
def directory(tmp_path):
    found = tmp_path / "tasks"
    make_directory(str(found), allow_any=True)
    return str(found)


@pytest.fixture
def store(directory):
    found = SqliteStore(directory)
    yield found
    found.close()


@pytest.fixture
def lists():
    found = TaskListReader()
    yield found
    found.close()


def enqueue(store):
    (stored,) = store.enqueue([NewTask(NAME, "spooler")], now())
    return stored.id


def fail(store):
    """Let the tasks fail with an error."""
    owner = store.own(now())
    for claim in owner.turn(ClaimRequest("spooler", now(), 16, {NAME: TaskLimits()}, "spooler1 (7)")).claims:
        assert owner.begin(claim, now())
        error = b'{"type": "shop.MailError", "traceback": "Traceback\\n  line\\nshop.MailError: <b>"}'
        owner.finish(claim, Outcome(TaskStatus.FAILED, error=error), now())
    owner.close(now())


def state_of(states, directory, **counts):
    return states.server(store=states.store(states.task(NAME, counts=counts), directory=directory))


def test_failed_and_waiting_tasks_are_listed(states, directory, store, lists):
    """With the last error."""
    failed = enqueue(store)
    fail(store)
    waiting = enqueue(store)
    found = lists.read(state_of(states, directory, FAILED=1, READY=1))
    assert [task.id for task in found.failed] == [failed]
    assert found.failed[0].error == "shop.MailError"
    assert found.failed[0].traceback.endswith("shop.MailError: <b>")
    assert found.failed[0].worker == "spooler1 (7)"
    assert [task.id for task in found.waiting] == [waiting]
    assert found.running == ()


def test_lists_are_read_again_if_a_number_has_changed(states, directory, store, lists):
    """Otherwise only now and then."""
    enqueue(store)
    state = state_of(states, directory, READY=1)
    first = lists.read(state)
    enqueue(store)
    assert lists.read(state) is first
    assert len(lists.read(state_of(states, directory, READY=2)).waiting) == 2


def test_a_store_that_cannot_be_read_gives_the_lists_before(states, directory, store, lists, monkeypatch):
    """The state has the fault."""
    enqueue(store)
    first = lists.read(state_of(states, directory, READY=1))
    assert first.waiting

    def fail(*_, **__):
        raise StoreError("the disk is gone", directory)

    monkeypatch.setattr(SqliteStore, "find", fail)
    assert lists.read(state_of(states, directory, READY=2)) is first
    assert lists.read(states.server(store=None)) == NO_TASKS


def test_a_failed_task_can_be_retried(directory, store, lists):
    """A task that waits cannot, with a reason."""
    failed = enqueue(store)
    fail(store)
    assert lists.retry(directory, failed) == ""
    assert store.get(failed).status is TaskStatus.READY
    assert lists.retry(directory, failed) != ""
    assert lists.retry(directory, "1f-0000000000000000") != ""


def test_a_waiting_task_can_be_cancelled(directory, store, lists):
    """A finished one cannot, with a reason."""
    waiting = enqueue(store)
    assert lists.cancel(directory, waiting) == ""
    assert store.get(waiting).status is TaskStatus.CANCELLED
    assert lists.cancel(directory, waiting) == "it is CANCELLED, and has finished"
    assert lists.cancel(directory, "1f-0000000000000000") == "there is no such task"


def test_all_failed_tasks_of_a_function_are_retried(directory, store, lists, monkeypatch):
    """In several transactions, and not those of other functions."""
    monkeypatch.setattr("heliograph.web.task_lists._BITE", 2)
    failed = [enqueue(store) for _ in range(5)]
    fail(store)
    assert lists.retry_failed(directory, "shop.tasks:other") == 0
    assert lists.retry_failed(directory, NAME) == 5
    assert {store.get(task_id).status for task_id in failed} == {TaskStatus.READY}
    assert lists.retry_failed(directory, NAME) == 0
