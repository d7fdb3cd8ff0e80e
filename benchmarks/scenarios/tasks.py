"""Tasks: heliograph beside task queues with and without a broker."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from lib import redis_server
from lib.repetitions import Plan
from lib.report import Report, Table, spread
from lib.task_queues import DISK, PEERS, POLL, PROCESS, TaskQueue, ask, missing
from lib.task_rounds import Round, measure
from lib.task_targets import targets

_MB = 1024.0
"""kB per MB."""

_QUEUES = (PROCESS, DISK, *PEERS)

_DISTRIBUTIONS = ("celery", "dramatiq", "django-tasks-db", "firm-queue", "huey", "localqueue", "redis", "rq", "taskiq")

Rounds = dict[str, list[Round]]
"""Name of a queue -> its figures in each turn."""

_NOTES = [
    "Redis: `appendonly yes`, `appendfsync everysec`, a Unix socket, hiredis. Its own memory is not in the table.",
    "All queues keep no results, where they can be told so. heliograph and django-tasks-db keep them.",
    f"Huey with SQLite, django-tasks-db and localqueue poll every {POLL * 1000:g} ms.",
    "An idle worker of firm-queue polls once a second. There is no option for that.",
    "RQ: `SimpleWorker`, which forks no process for a task. Dramatiq: one thread, `dramatiq_queue_prefetch=64`.",
    "heliograph, from a web worker: the client is a process of its web server. Else it is another program.",
    "Huey, no sync: `fsync=False`, which is SQLite's `synchronous=OFF`. A power cut may damage the whole file.",
    "Other queues in SQLite use `synchronous=NORMAL`, and `FULL` in the rows fsync, durable and disk.",
]


def run(plan: Plan) -> Report:
    """Measure all queues in turn, each time on a fresh server."""
    skipped = [f"{queue.name} was skipped: {_reason(queue)}." for queue in _QUEUES if _reason(queue)]
    queues = [queue for queue in _QUEUES if not _reason(queue)]
    found: Rounds = {queue.name: [] for queue in queues}
    appends: list[float] = []
    for _ in range(plan.repetitions):
        appends.append(_append(plan))
        for queue in queues:
            found[queue.name].append(measure(queue, plan.size(1, 20), plan.size(100, 10)))
    tables = [_rates(found, appends), _waits(found), _memory(found)]
    return Report("Tasks", _method(plan), tables, targets(found, appends), [*_NOTES, *skipped])


def _reason(queue: TaskQueue) -> str:
    """Return why a queue is skipped, "" if it is not."""
    if queue.redis and redis_server.find() is None:
        return "redis-server not found (Debian: apt-get install redis-server)"
    return missing(queue)


def _method(plan: Plan) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in _DISTRIBUTIONS if _installed(name))
    return (
        f"{versions}. Each task has two arguments and counts itself in shared memory. For each queue and repetition, "
        "on an empty directory: a client enqueues tasks one by one while no worker runs, then two processes run "
        "them. The rate is that from the first task of the second process to the last task. A run fails unless every "
        "task has run exactly once. Then, on the idle server, the client enqueues up to "
        f"{plan.size(100, 10)} tasks for at most 3 s, each 5 to 20 ms after the last one has run: the latency is the "
        "time from before the enqueue to the first line of the function. Memory is the PSS of all processes of the "
        f"server after that. {plan.repetitions} interleaved repetitions. The tables show the median and the range. "
        "Ratios are medians of the ratios within a repetition, against the queue with the best median."
    )


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except ModuleNotFoundError:  # PackageNotFoundError is one
        return False


def _append(plan: Plan) -> float:
    with TemporaryDirectory(prefix="bench-") as folder:
        rate: float = ask(None, Path(folder), "append", plan.size(4000, 200))["per_second"]
        return rate


def _rates(found: Rounds, appends: list[float]) -> Table:
    rows = [
        [
            name,
            *spread([each.run for each in rounds], 1, 0),
            *spread([each.enqueue for each in rounds], 1, 0),
            spread([each.many for each in rounds], 1, 0)[0] if rounds[0].many else "",
        ]
        for name, rounds in found.items()
    ]
    rows.append(["append and fdatasync", "", "", *spread(appends, 1, 0), ""])
    columns = ["queue", "run/s", "range", "enqueue/s", "range", "1,000 a call, /s"]
    return Table("Tasks per second. Two processes run them, one enqueues them one by one:", columns, rows)


def _waits(found: Rounds) -> Table:
    rows: list[list[str]] = []
    for name, rounds in found.items():
        samples = f"{sum(each.samples for each in rounds)}"
        if rounds[0].joined:
            rows.append([f"{name}, from a web worker", *_spreads([each.nearest for each in rounds]), samples])
        rows.append([name, *_spreads([(each.p50, each.p99) for each in rounds]), samples])
    columns = ["queue", "ms, p50", "range", "ms, p99", "range", "samples"]
    return Table("Enqueue to the first line of the function, on an idle server:", columns, rows)


def _spreads(pairs: list[tuple[float, float]]) -> list[str]:
    return [cell for i in (0, 1) for cell in spread([pair[i] for pair in pairs])]


def _memory(found: Rounds) -> Table:
    rows = [
        [name, *spread([each.pss for each in rounds], _MB, 1), f"{rounds[0].processes}"]
        for name, rounds in found.items()
    ]
    return Table("Memory of an idle server:", ["queue", "PSS, MB", "range", "processes"], rows)
