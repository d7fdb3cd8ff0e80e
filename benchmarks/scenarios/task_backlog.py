"""Tasks of heliograph while a thousand wait, while a million wait, and while a million finished ones are removed."""

from __future__ import annotations

from statistics import median

from lib.repetitions import Plan
from lib.report import Report, Table, Target, spread
from lib.task_backlog import FEW, Deferred, Waiting, deferred, enqueue_p99, few, many

_SAME, _MEMORY, _PURGE = 0.8, 1.05, 2.0
"""Targets: the rates with many tasks relative to those with few, memory likewise, and the p99 of enqueue while finished
tasks are removed relative to that before.
"""

_MAX_REPETITIONS = 2
"""A repetition takes a minute and a half."""

_MB = 1024.0
"""kB per MB."""


def run(plan: Plan) -> Report:
    """Measure with few and with many tasks in turn."""
    count, samples = plan.size(1_000_000, 10_000), plan.size(5000, 500)
    repetitions = min(plan.repetitions, _MAX_REPETITIONS)
    waiting: dict[int, list[Waiting]] = {FEW: [], count: []}
    due_later: dict[int, list[Deferred]] = {FEW: [], count: []}
    tails: list[tuple[float, float]] = []
    for _ in range(repetitions):
        waiting[FEW].append(few(samples))
        waiting[count].append(many(count, samples, plan.size(3, 1)))
        for number, found in due_later.items():
            found.append(deferred(number, plan.size(5, 1)))
        tails.append(enqueue_p99(count, plan.size(3000, 300)))
    return Report(
        "A million tasks",
        _method(plan, count, repetitions),
        [_waiting(waiting), _deferred(due_later), _tails(tails)],
        _targets(waiting, due_later, tails, count),
    )


def _method(plan: Plan, count: int, repetitions: int) -> str:
    return (
        "`heliograph run --workers 0 --mules 2 --task-sync process`. The rate of enqueueing is that of a process that "
        f"enqueues {plan.size(5000, 500):,} tasks one by one while no server runs. With {FEW:,} tasks, the rate of "
        f"running is the median of 20 batches of {FEW:,} that are enqueued in one call on an idle server, from the "
        f"first task of a batch to the last. With {count:,}, it is that of {plan.size(3, 1)} s. For the memory and the "
        "processor time, a server with `--spooler` is idle while the tasks are due tomorrow. For the removal, "
        f"{count:,} tasks have run and may be removed when the server starts, and a process enqueues "
        f"{plan.size(3000, 300):,} tasks, a millisecond apart. {repetitions} interleaved repetitions on fresh servers. "
        "The tables show the median and the range."
    )


def _waiting(found: dict[int, list[Waiting]]) -> Table:
    rows = [
        [
            f"{count:,}",
            *spread([each.run for each in each_count], 1, 0),
            *spread([each.enqueue for each in each_count], 1, 0),
            f"{median(each.size for each in each_count):.0f}" if each_count[0].size else "",
        ]
        for count, each_count in found.items()
    ]
    return Table("Waiting tasks:", ["tasks", "run/s", "range", "enqueue/s", "range", "bytes a task"], rows)


def _deferred(found: dict[int, list[Deferred]]) -> Table:
    rows = [
        [
            f"{count:,}",
            f"{median(each.master for each in each_count) / _MB:.1f}",
            f"{median(each.spooler for each in each_count) / _MB:.1f}",
            f"{median(each.cpu_ns for each in each_count) / 1000:.0f}",
            f"{median(each.switches for each in each_count):.1f}",
        ]
        for count, each_count in found.items()
    ]
    columns = ["tasks", "master, PSS MB", "spooler, PSS MB", "CPU, µs/s", "switches/s"]
    return Table("An idle server whose tasks are due tomorrow:", columns, rows)


def _tails(tails: list[tuple[float, float]]) -> Table:
    rows = [[name, *spread([tail[i] for tail in tails])] for i, name in enumerate(("before", "during the removal"))]
    return Table("p99 of enqueue, one by one:", ["", "ms", "range"], rows)


def _targets(
    waiting: dict[int, list[Waiting]],
    due_later: dict[int, list[Deferred]],
    tails: list[tuple[float, float]],
    count: int,
) -> list[Target]:
    few_waiting, many_waiting = waiting[FEW], waiting[count]
    few_later, many_later = due_later[FEW], due_later[count]

    def ratio(many: list[float], few: list[float]) -> float:
        return round(median(a / b for a, b in zip(many, few, strict=True)), 2)

    run = ratio([each.run for each in many_waiting], [each.run for each in few_waiting])
    enqueue = ratio([each.enqueue for each in many_waiting], [each.enqueue for each in few_waiting])
    master = ratio([each.master for each in many_later], [each.master for each in few_later])
    spooler = ratio([each.spooler for each in many_later], [each.spooler for each in few_later])
    return [
        Target(f"run/s, {count:,} waiting x {FEW:,}", _SAME, run, at_least=True),
        Target(f"enqueue/s, {count:,} waiting x {FEW:,}", _SAME, enqueue, at_least=True),
        Target(f"memory of the master, {count:,} x {FEW:,}", _MEMORY, master),
        Target(f"memory of the spooler, {count:,} x {FEW:,}", _MEMORY, spooler),
        Target("CPU of the idle server, µs/s", 0.0, round(median(each.cpu_ns for each in many_later) / 1000, 1)),
        Target("p99 of enqueue, during the removal x before", _PURGE, round(median(b / a for a, b in tails), 2)),
    ]
