"""heliograph. The environment has the name of the server, and how safe a task is when `enqueue()` returns."""

import json
from datetime import timedelta

from heliograph import join_server, task
from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.tasks import hosting
from lib import task_work
from lib.task_work import ARGUMENTS

_TARGET = "default"
"""The target of tasks without one: the spooler if the server has one, else a mule."""

_BATCH = 64


@task
def count(address: str, number: int) -> None:
    """Count itself. Tasks are found by module and name, so the function stands here."""
    task_work.count(address, number)


@task
def stamp(address: str, number: int) -> None:
    """Record when it runs."""
    task_work.stamp(address, number)


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        count.enqueue(*ARGUMENTS)


def enqueue_many(number: int) -> None:
    """Enqueue tasks in one call."""
    count.enqueue_many([ARGUMENTS] * number)


def defer_many(number: int) -> None:
    """Enqueue tasks that are due tomorrow."""
    count.using(run_after=timedelta(days=1)).enqueue_many([ARGUMENTS] * number)


def finish_many(number: int) -> None:
    """Store tasks that have run, and that are to be removed a microsecond later. No server runs meanwhile."""
    name = f"{__name__}:count"
    new = NewTask(name, _TARGET, json.dumps([ARGUMENTS, {}]).encode(), result_ttl=1)
    tasks = hosting.store()
    owner = tasks.own(hosting.now())
    for _ in range(number // 1000):
        tasks.enqueue([new] * 1000, hosting.now())
        for _ in range(1000 // _BATCH + 1):
            request = ClaimRequest(_TARGET, hosting.now(), _BATCH, {name: TaskLimits()}, "bench")
            for claim in owner.turn(request).claims:
                owner.begin(claim, hosting.now())
                owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b"null"), hosting.now())
    owner.close(hosting.now())


def join() -> None:
    """Make this process a worker of the server that has started it, as web workers become ones."""
    assert join_server()


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    stamp.enqueue(*ARGUMENTS)
