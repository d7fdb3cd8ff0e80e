"""Huey, with the storage that the environment names. No results."""

import os

from huey import RedisHuey, SqliteHuey

from lib import task_work
from lib.task_work import ARGUMENTS, FOLDER, REDIS_SOCKET

STORAGE_ENV = "BENCH_HUEY"

if os.environ[STORAGE_ENV] == "redis":
    huey = RedisHuey("bench", url=f"unix://{REDIS_SOCKET}", results=False)
else:
    fsync = os.environ[STORAGE_ENV] == "fsync"
    huey = SqliteHuey("bench", filename=str(FOLDER / "huey.db"), fsync=fsync, results=False)

_count = huey.task()(task_work.count)
_stamp = huey.task()(task_work.stamp)


def enqueue(number: int) -> None:
    """Enqueue tasks one by one."""
    for _ in range(number):
        _count(*ARGUMENTS)


def enqueue_timed() -> None:
    """Enqueue the timed task."""
    _stamp(*ARGUMENTS)
