"""Run the plan, and print the checks."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from chaos.report import Report
from chaos.server import ENGINES, TIMEOUT, ServerExited
from heliograph._core.tasks.values import TaskStatus
from heliograph.interfaces.store import TaskStore
from heliograph.store.sqlite import SqliteStore

from .checks import check, unlocked
from .faults import TaskFaults, TaskPlan, TaskProgress
from .journal import JournalReader, Line
from .server import TaskServer
from .volume import Volume

TASKS = 100_000

_SECONDS = 900.0
"""Time limit."""
_BYTES_OF_A_TASK = 2000
_SPARE = 64 << 20
"""Bytes of the volume for the log of the store and the rest."""
_LAST_CALLS = 0.5
"""Seconds in which senders return from the last call of `enqueue()`."""
_PAGE = 1000
"""Rows that are read at once."""
_SHOWN = 5
"""Faults of a kind that are printed in full."""
_UNFINISHED = (TaskStatus.READY, TaskStatus.RUNNING)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    group = parser.add_argument_group("tasks instead of signals")
    group.add_argument(
        *("--tasks",),
        type=int,
        nargs="?",
        const=TASKS,
        metavar="N",
        help=f"enqueue at least N tasks (default: {TASKS}), with --engine, --kills, --reloads, --seconds and these",
    )
    group.add_argument("--masters", type=int, default=20, metavar="N", help="number of kills of the master")
    group.add_argument("--full-disks", type=int, default=2, metavar="N", help="number of times that the disk is full")
    group.add_argument("--stops", type=int, default=1, metavar="N", help="number of processes that are stopped")
    group.add_argument("--stop-seconds", type=float, default=20, metavar="S", help="how long they are stopped")
    group.add_argument("--keep", type=Path, metavar="DIR", help="where to keep the journal and the log after a failure")


def run_tasks(options: argparse.Namespace) -> int:
    """Run the plan. Return the exit code."""
    plan = TaskPlan(
        options.tasks,
        options.kills,
        options.masters,
        options.reloads,
        options.full_disks,
        options.stops,
        options.stop_seconds,
        options.seconds or _SECONDS,
    )
    report = Report()
    for engine in ENGINES if options.engine == "all" else (options.engine or ENGINES[0],):
        _run_engine(engine, plan, report, options.keep)
    return 1 if report.failed else 0


def _run_engine(engine: str, plan: TaskPlan, report: Report, keep: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="heliograph-chaos-") as name:
        directory = Path(name)
        with Volume(directory / "store", _SPARE + plan.tasks * _BYTES_OF_A_TASK) as volume:
            if not volume.can_be_full:
                print("  skipped: the full disk, since this system does not allow a mount namespace")
            try:
                _run(engine, plan, report, directory, volume)
            except ServerExited as error:
                report.check(str(error), passed=False)
            if report.failed and keep is not None:
                shutil.copytree(directory, keep / engine, dirs_exist_ok=True, ignore=_ignore_sockets)


def _run(engine: str, plan: TaskPlan, report: Report, directory: Path, volume: Volume) -> None:
    print(f"\n{engine}, tasks: {plan}", flush=True)
    store = SqliteStore(str(volume.directory))
    with TaskServer(engine, directory, volume.directory, plan.rate, plan.stop_seconds + TIMEOUT) as server:
        faults = TaskFaults(server, volume, plan, JournalReader(directory))
        start = time.monotonic()
        progress = faults.inject(report.progress)
        seconds = time.monotonic() - start
        server.stop_senders()
        time.sleep(_LAST_CALLS)
        codes = server.stop_clients()
        _wait_until_finished(store)
        code, remaining = server.stop(), server.remaining()
    faults.read()
    (directory / "kills").write_text("\n".join(map(str, progress.kills)))
    print(f"  {progress} in {seconds:.1f} s")
    print(f"  kills: {dict(Counter(kill.process.rstrip('0123456789') for kill in progress.kills))}")
    report.check("plan complete", passed=faults.complete)
    _check_tasks(report, progress, _statuses(store))
    _check_locks(report, progress.lines, shown=server.shows_locks)
    _check_all(report, "faults of the store", store.check())
    _check_all(report, "clients that exited", [f"exit code {client}" for client in codes])
    report.check(f"exit code: {code}", passed=code == 0)
    report.check(f"processes left: {len(remaining)}", passed=not remaining)
    store.close()
    if report.failed:
        print(server.log[-5000:], file=sys.stderr)


def _check_tasks(report: Report, progress: TaskProgress, statuses: Mapping[str, TaskStatus]) -> None:
    found = check(progress, statuses)
    print(f"  {found.stored} stored, {found.refused} refused, {len(statuses)} in the store, {found.tasks_run} have run")
    print(f"  enqueued by processes that ended before they noted it: {found.unsure}")
    _check_all(report, "tasks lost", found.lost)
    print(f"  second runs: {found.again}, of them after the end of the first: {found.again_ended}")
    _check_all(report, "second runs that no kill explains", found.unexplained)
    _check_all(report, "tasks run though refused", found.refused_ran)
    _check_all(report, "tasks enqueued without a note", found.strangers)
    print(f"  dead after three kills: {len(found.dead)}")
    again = [
        f"{line.task_id}, attempt {line.attempt}, in process {line.pid}"
        for begin in progress.held
        for line in progress.lines
        if line.what == "begin" and line.task_id == begin.task_id and line.time > begin.time
    ]
    _check_all(report, "stopped processes that are gone", progress.vanished)
    _check_all(report, "tasks of a stopped process that ran again", again)


def _check_locks(report: Report, lines: list[Line], *, shown: bool) -> None:
    if not shown:
        print("  skipped: the locks, since /proc/locks does not list them")
        return
    looked, lacking = unlocked(lines)
    enqueuing = len({line.process for line in lines if line.what == "stored"})
    report.check(
        f"processes that looked at their locks: {looked}, that enqueued: {enqueuing}",
        passed=looked.get("enqueues", 0) >= enqueuing,
    )
    _check_all(report, "locks that a process lacked", lacking)


def _check_all(report: Report, what: str, faults: list[str]) -> None:
    report.check(f"{what}: {len(faults)}", passed=not faults)
    for fault in faults[:_SHOWN]:
        print(f"          {fault}")


def _wait_until_finished(store: TaskStore) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        counts = store.counts(time.time_ns() // 1000)
        if not any(number for (_, _, status), number in counts.items() if status in _UNFINISHED):
            return
        time.sleep(0.2)


def _statuses(store: TaskStore) -> dict[str, TaskStatus]:
    found: dict[str, TaskStatus] = {}
    after = None
    while rows := store.find(after=after, limit=_PAGE):
        found.update((row.id, row.status) for row in rows)
        after = rows[-1].id
    return found


def _ignore_sockets(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(directory) / name).is_socket()]
