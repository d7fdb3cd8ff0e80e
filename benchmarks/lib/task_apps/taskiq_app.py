"""taskiq with a list in Redis. A list needs no acknowledgement and is faster than a stream. No results."""

import asyncio

from taskiq_redis import ListQueueBroker

from lib import task_work
from lib.task_work import ARGUMENTS, REDIS_SOCKET

broker = ListQueueBroker(f"unix://{REDIS_SOCKET}")


@broker.task
async def _count(address: str, number: int) -> None:
    task_work.count(address, number)


@broker.task
async def _stamp(address: str, number: int) -> None:
    task_work.stamp(address, number)


def setup_client() -> asyncio.AbstractEventLoop:
    """Start the broker on an event loop of the client."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(broker.startup())
    return loop


_loops: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    if not _loops:
        _loops.append(setup_client())
    return _loops[0]


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""

    async def enqueue_all() -> None:
        for _ in range(number):
            await _count.kiq(*ARGUMENTS)

    _loop().run_until_complete(enqueue_all())


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _loop().run_until_complete(_stamp.kiq(*ARGUMENTS))
