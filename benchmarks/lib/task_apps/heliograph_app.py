"""heliograph. The environment has the name of the server, and how safe a task is when `enqueue()` returns."""

from heliograph import task  # type: ignore[attr-defined]
from lib import task_work
from lib.task_work import ARGUMENTS


@task(target="mule")
def count(address: str, number: int) -> None:
    """Count itself. Tasks are found by module and name, so the function stands here."""
    task_work.count(address, number)


@task(target="mule")
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


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    stamp.enqueue(*ARGUMENTS)
