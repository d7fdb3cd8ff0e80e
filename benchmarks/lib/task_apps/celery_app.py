"""Celery with Redis. No results, no rate limits, and workers that fetch 64 messages ahead."""

import celery

from lib import task_work
from lib.task_work import ARGUMENTS, REDIS_SOCKET

app = celery.Celery("bench", broker=f"redis+socket://{REDIS_SOCKET}")
app.conf.update(
    task_ignore_result=True,
    worker_disable_rate_limits=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
)

_count = app.task(task_work.count, name="count")
_stamp = app.task(task_work.stamp, name="stamp")


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        _count.delay(*ARGUMENTS)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _stamp.delay(*ARGUMENTS)
