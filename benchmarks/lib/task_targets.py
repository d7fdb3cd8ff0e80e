"""The targets of heliograph's tasks, relative to the best of the other task queues in the same turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import median

from lib.repetitions import ratio
from lib.report import Target
from lib.task_queues import DISK, PEERS, PROCESS, TaskQueue
from lib.task_rounds import Round

RUN = {PROCESS.name: 8.0, DISK.name: 5.0}
"""Tasks run per second, relative to the best of the others."""

ENQUEUE_PYTHON, ENQUEUE_NATIVE, ENQUEUE_DISK, ENQUEUE_MANY = 3.0, 2.0, 0.8, 20.0
"""Tasks enqueued per second: relative to the best in pure Python, the best in native code, a bare append to a file that
waits for the disk, and (in calls of 1,000) the best of all one by one."""

LATENCY, MEMORY = 0.5, 0.5
"""Relative to the best of the others."""

Figure = Callable[[Round], float]
Rounds = Mapping[str, list[Round]]


def targets(found: Rounds, appends: list[float]) -> list[Target]:
    """Return the targets that can be judged. Without heliograph: none."""
    if PROCESS.name not in found or not _others(found, PEERS):
        return []
    every = _others(found, PEERS)
    return [
        *(_least(found, name, f"run/s, {name}", _run, every, limit) for name, limit in RUN.items()),
        *(
            _least(found, name, f"run/s, {name}, without no sync", _run, _safe(every), limit)
            for name, limit in RUN.items()
        ),
        *_enqueue(found, appends, every),
        *(_most(found, f"latency, {label}", figure, every, LATENCY) for label, figure in _WAITS.items()),
        _most(found, "memory", lambda each: each.pss, every, MEMORY),
    ]


def _enqueue(found: Rounds, appends: list[float], every: list[str]) -> list[Target]:
    pure = _others(found, (queue for queue in PEERS if not queue.native))
    native = _others(found, (queue for queue in PEERS if queue.native))
    disk = ratio([each.enqueue for each in found[DISK.name]], appends)
    own = PROCESS.name
    best = _best(found, every, _one, max)
    many = ratio([each.many for each in found[own]], [each.enqueue for each in found[best]])
    return [
        _least(found, own, f"enqueue/s, {own}, pure Python", _one, pure, ENQUEUE_PYTHON),
        _least(found, own, f"enqueue/s, {own}, pure Python without no sync", _one, _safe(pure), ENQUEUE_PYTHON),
        *([_least(found, own, f"enqueue/s, {own}, native", _one, native, ENQUEUE_NATIVE)] if native else []),
        Target(f"enqueue/s, {DISK.name}, x append", ENQUEUE_DISK, round(disk, 2), at_least=True),
        Target(f"enqueue_many/s, {own}", ENQUEUE_MANY, round(many, 2), at_least=True, context=best),
    ]


def _least(found: Rounds, own: str, metric: str, figure: Figure, others: list[str], limit: float) -> Target:
    best = _best(found, others, figure, max)
    return Target(metric, limit, _ratio(found, own, best, figure), at_least=True, context=best)


def _most(found: Rounds, metric: str, figure: Figure, others: list[str], limit: float) -> Target:
    best = _best(found, others, figure, min)
    return Target(f"{metric}, {PROCESS.name}", limit, _ratio(found, PROCESS.name, best, figure), context=best)


def _ratio(found: Rounds, own: str, other: str, figure: Figure) -> float:
    return round(ratio(*([figure(each) for each in found[name]] for name in (own, other))), 2)


def _best(found: Rounds, names: list[str], figure: Figure, choose: Callable[..., str]) -> str:
    return choose(names, key=lambda name: median(map(figure, found[name])))


def _others(found: Rounds, queues: Iterable[TaskQueue]) -> list[str]:
    return [queue.name for queue in queues if queue.name in found]


def _safe(names: list[str]) -> list[str]:
    return [name for name in names if "no sync" not in name]


def _run(each: Round) -> float:
    return each.run


def _one(each: Round) -> float:
    return each.enqueue


_WAITS: Mapping[str, Figure] = {"p50": lambda each: each.nearest[0], "p99": lambda each: each.nearest[1]}
