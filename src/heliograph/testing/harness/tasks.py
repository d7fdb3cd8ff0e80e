"""The tasks of the application under test, and the journal of their attempts."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from heliograph import Retry, Task, TaskContext, engines, progress, register_cron, task
from heliograph.testing.harness.agent import LOG, block_until
from heliograph.testing.harness.task_models import JOURNAL, Colour, Item

DIRECTORY = Path(os.environ[LOG]).parent

PLACES = ("default", "worker", "worker2", "mule", "mule1", "mule2", "farm_crunchers", "spooler")
"""The targets that the suite tries."""


def write_line(context: TaskContext, text: str = "") -> None:
    """Record that an attempt has come to this place."""
    append_line(text, context.id, context.attempt)


def append_line(text: str, task_id: str = "-", attempt: int = 0) -> None:
    """Record that this process has come to this place."""
    engine = engines.current()
    line = f"{task_id} {attempt} {engine.identity} {os.getpid()} {engine.clock.time()} {text}\n"
    journal = os.open(DIRECTORY / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)


def _note(context: TaskContext, text: str) -> str:
    write_line(context, text)
    return text


NOTES = {place: task(name=f"harness:note in {place}", target=place)(_note) for place in PLACES}
"""A task for each target. It writes a line, and returns the text."""


@task(target="mule1")
def typed(context: TaskContext, when: datetime, number: UUID, item: Item, colour: Colour = Colour.RED) -> list[str]:
    """Return the types of the arguments, and change one of them."""
    found = [when.isoformat(), str(number), repr(item), colour.name]
    item.name = "changed"
    if context.attempt == 1:
        raise Retry(after=0)
    return found


@task(target="mule1", retries=2, backoff=0.05)
def fail_until(context: TaskContext, attempt: int, text: str) -> int:
    """Fail in the attempts before this one."""
    write_line(context, text)
    if context.attempt < attempt:
        raise LookupError(f"attempt {context.attempt} fails on purpose")
    return context.attempt


@task(target="mule1", retries=1, backoff=0.0)
def leave(context: TaskContext, text: str) -> None:
    """Try to end the process."""
    write_line(context, text)
    sys.exit(0)


@task(target="mule1", retries=5, backoff=0.0)
def return_function(context: TaskContext, text: str) -> object:
    """Return what JSON cannot express."""
    write_line(context, text)
    return write_line


@task(target="mule2")
def kill_process(context: TaskContext, text: str) -> None:
    """End the process without a trace."""
    write_line(context, text)
    os.kill(os.getpid(), signal.SIGKILL)


@task(target="mule", limit=1)
def one_at_a_time(context: TaskContext, text: str) -> None:
    """Write a line at the beginning and at the end."""
    write_line(context, f"{text} begins")
    time.sleep(0.05)
    write_line(context, f"{text} ends")


@task(target="mule1", rate="2/m")
def twice_a_minute(context: TaskContext, text: str) -> None:
    """Begin twice a minute at most."""
    write_line(context, text)


@task(target="mule2", time_limit=0.2)
def too_long(context: TaskContext, text: str) -> None:
    """Run longer than the limit."""
    write_line(context, text)
    block_until(f"{DIRECTORY}/never")


@task(target="mule2")
def report_progress(context: TaskContext, unblock: str) -> None:
    """Tell how far the task is, and block until a file exists."""
    context.progress(1, 3)
    progress(2, 3, "two of three")
    if unblock:
        block_until(unblock)


@task(target="mule1")
async def double(number: int) -> int:
    """Double a number in a coroutine."""
    return 2 * number


@task(target="mule1")
def each_minute(context: TaskContext, text: str = "tick") -> None:
    """Run for a cron rule."""
    write_line(context, text)


register_cron(target=each_minute, name="harness cron of a task")


TASKS: dict[str, Task[..., Any]] = {
    **NOTES,
    **{
        one.func.__name__: one
        for one in (
            *(typed, fail_until, leave, return_function, kill_process, one_at_a_time),
            *(twice_a_minute, too_long, report_progress, double, each_minute),
        )
    },
}
"""The tasks of the suite by name. The name of a target stands for a task that writes a line."""
