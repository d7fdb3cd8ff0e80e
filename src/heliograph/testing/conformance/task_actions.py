"""Functions for the tests of tasks: some run in the processes of a server, others in the test."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from heliograph import TaskStatus, UwsgiconfException, engines, get_result
from heliograph._core.tasks.values import NewTask
from heliograph.tasks.hosting import now, store, wake
from heliograph.testing.conformance.actions import FIRST
from heliograph.testing.harness.harness import TIMEOUT, Harness, eventually
from heliograph.testing.harness.task_models import Line, read_lines

_SERIAL = itertools.count()

# In a process of the server.


def enqueue(name: str, *args: Any, **options: Any) -> str:
    """Enqueue a task of the application under test, and return its id. `options` are those of `Task.using`."""
    from heliograph.testing.harness import tasks

    return tasks.TASKS[name].using(**options).enqueue(*args).id


def enqueue_each(calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> list[str]:
    """Enqueue several tasks one after another, and return their ids."""
    return [enqueue(name, *args, **options) for name, args, options in calls]


def enqueue_then_pass(name: str, text: str, seconds: float) -> str:
    """Enqueue a task that expires in so many seconds, let them pass, and return its id."""
    task_id = enqueue(name, text, expires=timedelta(seconds=seconds))
    engines.current().clock.sleep(seconds + 0.05)
    return task_id


def error_of_enqueue(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return the heliograph exception that `enqueue` raises, or None."""
    try:
        enqueue(name, *args, **options)
    except UwsgiconfException as error:
        return error
    return None


def clock_time() -> float:
    """Return the seconds since 1970 on the engine's clock."""
    return engines.current().clock.time()


def read_facts(task_id: str) -> dict[str, Any]:
    """Return what `get_result` tells of a task."""
    result = get_result(task_id)
    names = ("status", "attempts", "enqueued_at", "started_at", "last_attempted_at", "finished_at")
    value = result.return_value if result.status is TaskStatus.SUCCESSFUL else None
    return {
        **{name: getattr(result, name) for name in names},
        "value": value,
        "workers": result.worker_ids,
        "errors": [tuple(error) for error in result.errors],
        "progress": None if result.progress is None else tuple(result.progress),
    }


def put_row(row: NewTask) -> str:
    """Store a task as another version of the application would, and return its id."""
    (stored,) = store().enqueue([row], now())
    wake(row.target)
    return stored.id


def store_directory() -> str:
    """Return the directory of the store."""
    opened: Any = store()
    return str(opened.facts()["directory"])


def cancel(task_id: str) -> bool:
    """Cancel a task. Return True if it will never run."""
    return get_result(task_id).cancel()


def pause(target: str) -> None:
    """Let the tasks of a target wait."""
    store().pause(target, "the test", now())


def resume(target: str) -> None:
    """Let the tasks of a target run again."""
    store().resume(target)
    wake(target)


# In the test.


def text_of(words: str) -> str:
    """Return a text that no other test of this run has."""
    return f"{words} #{next(_SERIAL)}"


def put(harness: Harness, name: str, *args: Any, process: str = FIRST, **options: Any) -> str:
    """Enqueue a task in a process of the server, and return its id."""
    task_id: str = harness.call(process, enqueue_each, [(name, args, options)])[0]
    return task_id


def error_of_put(harness: Harness, name: str, *args: Any, **options: Any) -> Any:
    """Return the heliograph exception that a process of the server gets when it enqueues a task."""
    return harness.call(FIRST, error_of_enqueue, name, args, options)


def facts(harness: Harness, task_id: str, process: str = FIRST) -> dict[str, Any]:
    """Return what a process of the server tells of a task."""
    found: dict[str, Any] = harness.call(process, read_facts, task_id)
    return found


def finish(harness: Harness, task_id: str) -> dict[str, Any]:
    """Wait until a task has finished, and return what is known of it."""

    def finished() -> dict[str, Any] | None:
        harness.advance_time(0.5)
        found = facts(harness, task_id)
        return found if found["status"].is_finished else None

    found: dict[str, Any] = eventually(f"the end of task {task_id}", finished, TIMEOUT)
    return found


def journal(harness: Harness, text: str | None = None) -> list[Line]:
    """Return the recorded attempts, or those with this text."""
    return [line for line in read_lines(harness.directory) if text is None or line.text == text]
