"""The application: tasks that write to the journal, and senders that enqueue them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from chaos.history import open_counts
from chaos.workload import DIRECTORY, HISTORY, RATE, SENDERS, STOP
from heliograph import Task, TaskContext, engines, task, uwsgi
from heliograph.exceptions import StoreError

from .journal import LOOK, RELEASE, Journal
from .locks import ENQUEUE, RUN, Names, missing_locks

SPOOLER = "HELIOGRAPH_SPOOLER"
"""Variable with the directory of the store."""

_LOADED = time.monotonic_ns()
_PAUSE = 0.01
"""Seconds between two bursts of a sender."""
_WORK = 0.0002
"""Duration of a task in seconds, long enough that a kill often interrupts one."""
_LONG_WORK = 0.05
_MANY = 20
"""Tasks of one `enqueue_many()`."""
_MAX_DELAY = 2.0
"""Seconds until a deferred task is due, at most."""
_LARGE = 20_000
"""Characters of a result that does not fit in the page of an owner."""
_LOOK_AT_LOCKS = 200
"""A process looks at its locks when it enqueues or runs for the first time, and then each such number of times."""

_looks: dict[Names, int] = {ENQUEUE: 0, RUN: 0}
_journal: Journal | None = None


class _Failure(Exception):
    """The exception of a task that fails."""


@task(target="mule")
def in_mule(context: TaskContext, key: str) -> None:
    """Run in any mule."""
    _run(context, key)


@task(target="mule1")
def in_mule1(context: TaskContext, key: str) -> None:
    """Run in one mule, which may be dead just now."""
    _run(context, key)


@task(target="farm_team")
def in_farm(context: TaskContext, key: str) -> None:
    """Run in a mule of the farm."""
    _run(context, key)


@task(target="worker")
def in_worker(context: TaskContext, key: str) -> None:
    """Run in a worker."""
    _run(context, key)


@task
def in_spooler(context: TaskContext, key: str) -> None:
    """Run in the spooler."""
    _run(context, key)


@task(target="mule")
def long(context: TaskContext, key: str) -> None:
    """Take longer than others, so that no other task is in its batch."""
    _run(context, key, _LONG_WORK)


@task
def large(context: TaskContext, key: str) -> str:
    """Return a result that is stored before the next task begins."""
    _run(context, key)
    return "x" * _LARGE


@task(target="mule", retries=20, backoff=0.05, max_backoff=1)
def failing(context: TaskContext, key: str) -> None:
    """Fail the first time."""
    if context.attempt == 1:
        journal().write("begin", context.id, context.attempt, key)
        journal().write("raised", context.id, context.attempt, key)
        raise _Failure
    _run(context, key)


@task(target="mule", retries=20, backoff=0.3, max_backoff=1)
def follow(context: TaskContext, key: str) -> None:
    """Enqueue another task."""
    journal().write("begin", context.id, context.attempt, key)
    if not enqueue(in_spooler):
        journal().write("raised", context.id, context.attempt, key)
        raise _Failure
    journal().write("end", context.id, context.attempt, key)


@task(target="mule")
def hold(context: TaskContext, key: str) -> None:
    """Take until the test lets it end."""
    journal().write("begin", context.id, context.attempt, key)
    while not (journal().directory / RELEASE).exists():
        time.sleep(_PAUSE)
    journal().write("end", context.id, context.attempt, key)


_KINDS: dict[Task[[str], object], float] = {
    in_mule: 30,
    in_mule1: 10,
    in_farm: 10,
    in_worker: 10,
    in_spooler: 30,
    large: 3,
    failing: 3,
    follow: 3,
    long: 0.2,
}
"""Tasks of the senders, with their weights."""


@uwsgi.postfork_hooks.add()
def start() -> None:
    """Leave a record of this process and, in a sender, begin to enqueue."""
    process = str(engines.current().identity)
    open_counts(Path(os.environ[DIRECTORY]) / HISTORY, process, os.getpid(), _LOADED)
    if process in SENDERS:
        threading.Thread(target=send, name="chaos-sender", daemon=True).start()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:  # noqa: ARG001
    """Answer 204 to every request (WSGI entry point for web servers)."""
    start_response("204 No Content", [])
    return []


def journal() -> Journal:
    """Return the journal of this process."""
    global _journal
    if _journal is None or _journal.pid != os.getpid():
        _journal = Journal()
        _looks.update(dict.fromkeys(_looks, 0))
    return _journal


def send() -> None:
    """Enqueue tasks all the time, except while the file STOP exists."""
    stop = journal().directory / STOP
    per_burst = float(os.environ[RATE]) * _PAUSE
    credit = 0.0
    while True:
        time.sleep(_PAUSE)
        credit = min(credit + per_burst, 100.0)
        while credit >= 1 and not stop.exists():
            credit -= _send_some()


def enqueue(kind: Task[[str], object], count: int = 1, prefix: str = "") -> list[str]:
    """Enqueue tasks and write that to the journal. Return their ids: none if the store refused them."""
    keys = [prefix + journal().new_key() for _ in range(count)]
    try:
        results = kind.enqueue_many([(key,) for key in keys]) if count > 1 else [kind.enqueue(keys[0])]
    except StoreError:
        for key in keys:
            journal().write("refused", key=key)
        return []
    _look_at_locks(ENQUEUE)
    for key, result in zip(keys, results, strict=True):
        journal().write("stored", result.id, 0, key)
    return [result.id for result in results]


def _send_some() -> int:
    """Enqueue tasks of a random kind, and return their number. A refusal costs as much time as it takes."""
    (kind,) = random.choices(tuple(_KINDS), tuple(_KINDS.values()))  # noqa: S311 - not for cryptography
    way = random.random()  # noqa: S311
    if way < 0.01 and kind is not long:
        enqueue(kind, _MANY)
        return _MANY
    if way < 0.1:
        kind = kind.using(run_after=timedelta(seconds=random.uniform(0, _MAX_DELAY)))  # noqa: S311
    enqueue(kind)
    return 1


def _run(context: TaskContext, key: str, seconds: float = _WORK) -> None:
    journal().write("begin", context.id, context.attempt, key)
    _look_at_locks(RUN)
    time.sleep(seconds)
    journal().write("end", context.id, context.attempt, key)


def _look_at_locks(names: Names) -> None:
    number = _looks[names]
    _looks[names] += 1
    if number % _LOOK_AT_LOCKS == 0 and os.environ[LOOK]:
        missing = missing_locks(Path(os.environ[SPOOLER]), names)
        what = "enqueues" if names == ENQUEUE else "runs"
        journal().write("locks", what, 0, ",".join(missing) or "all")
