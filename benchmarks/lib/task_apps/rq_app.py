"""RQ. `SimpleWorker` runs tasks in the worker itself, without a fork for each. No results, as `result_ttl=0` says."""

from redis import Redis
from rq import Queue

from lib.task_work import ARGUMENTS, REDIS_SOCKET, count, stamp

_QUEUE = Queue("bench", connection=Redis(unix_socket_path=str(REDIS_SOCKET)))


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        _QUEUE.enqueue(count, *ARGUMENTS, result_ttl=0)


def enqueue_many(number: int) -> None:
    """Enqueue tasks in one call."""
    data = Queue.prepare_data(count, args=ARGUMENTS, result_ttl=0)
    _QUEUE.enqueue_many([data] * number)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _QUEUE.enqueue(stamp, *ARGUMENTS, result_ttl=0)
