"""localqueue, whose worker is a loop in a process that the user starts."""

import os

from localqueue import DurabilityMode, Job, SimpleQueue, Worker

from lib import task_work
from lib.task_work import ARGUMENTS, FOLDER

DURABILITY_ENV = "BENCH_DURABILITY"

_QUEUE: SimpleQueue[list[object]] = SimpleQueue(
    str(FOLDER / "localqueue"), durability=DurabilityMode[os.environ[DURABILITY_ENV]]
)

_FUNCTIONS = {"count": task_work.count, "stamp": task_work.stamp}


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        _QUEUE.put(["count", *ARGUMENTS])


def enqueue_many(number: int) -> None:
    """Enqueue tasks in one call."""
    _QUEUE.put_many([["count", *ARGUMENTS]] * number)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _QUEUE.put(["stamp", *ARGUMENTS])


def _handle(job: Job[list[object]]) -> None:
    name, *arguments = job.data
    _FUNCTIONS[name](*arguments)


if __name__ == "__main__":
    Worker(_QUEUE, _handle, poll_interval=float(os.environ["BENCH_POLL"])).run()
