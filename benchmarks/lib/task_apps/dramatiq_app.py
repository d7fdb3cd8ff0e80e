"""Dramatiq with Redis and its default middleware. It keeps no results by default."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from lib import task_work
from lib.task_work import ARGUMENTS, REDIS_SOCKET

dramatiq.set_broker(RedisBroker(url=f"unix://{REDIS_SOCKET}"))

_count = dramatiq.actor(task_work.count)
_stamp = dramatiq.actor(task_work.stamp)


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        _count.send(*ARGUMENTS)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _stamp.send(*ARGUMENTS)
