"""Compare the journal with the kills.

A task is lost if `enqueue()` returned and the task did not come to its end, by the journal and by the store. A task
whose process was killed three times has ended, too: the store calls it dead.

A task runs a second time only after an exception, or because the process of the first run was killed before it could
note the outcome. So the first run is the last line of its process about any task, and the kill came later. Each kill
explains one second run at most, and a kill of the master one of each process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from heliograph._core.tasks.values import MAX_DEATHS, TaskStatus

from .faults import Kill, TaskProgress
from .journal import Line

NOTE_TIMEOUT = 5_000_000_000
"""Nanoseconds from the beginning of a task until the process that enqueued it must have noted that."""

Run = tuple[int, int, str, int]
"""Generation, process id, task and attempt."""


@dataclass(slots=True)
class Found:
    """What the checks have found. Each list has a text for each fault."""

    stored: int = 0
    tasks_run: int = 0
    lost: list[str] = field(default_factory=list[str])
    dead: list[str] = field(default_factory=list[str])
    again: int = 0
    """Second runs."""
    again_ended: int = 0
    """Second runs of tasks whose first run was at its end already."""
    unexplained: list[str] = field(default_factory=list[str])
    refused: int = 0
    refused_ran: list[str] = field(default_factory=list[str])
    unsure: int = 0
    """Tasks of which the process that enqueued them ended before it could note that, by a kill or a reload."""
    strangers: list[str] = field(default_factory=list[str])
    """Such tasks whose process went on."""


def check(progress: TaskProgress, statuses: Mapping[str, TaskStatus]) -> Found:
    """Return what is wrong. `statuses` are those of the store, by task."""
    return _Checker(progress, statuses).check()


def unlocked(lines: Iterable[Line]) -> tuple[dict[str, int], list[str]]:
    """Return the numbers of processes that have looked at their locks, by what they do, and those that lacked one."""
    looked: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    lacking: list[str] = []
    for line in lines:
        if line.what == "locks":
            looked[line.task_id].add(line.process)
            if line.key != "all":
                lacking.append(f"process {line.pid}, which {line.task_id}, holds no lock of {line.key}")
    return {what: len(processes) for what, processes in looked.items()}, lacking


class _Checker:
    def __init__(self, progress: TaskProgress, statuses: Mapping[str, TaskStatus]) -> None:
        self._progress = progress
        self._statuses = statuses
        self._found = Found()
        self._ends: dict[Run, str] = {}
        """Runs that came to their end, or raised an exception."""
        self._runs: defaultdict[str, list[Line]] = defaultdict(list)
        self._last: dict[tuple[int, int], str] = {}
        """The last task of each process."""
        self._last_time = {line.process: line.time for line in progress.lines}
        self._killed = {(kill.generation, kill.pid): kill for kill in progress.kills}
        self._used: set[tuple[int, int]] = set()

    def check(self) -> Found:
        found = self._found
        for line in self._progress.lines:
            if line.what == "begin":
                self._runs[line.task_id].append(line)
                self._last[line.process] = line.task_id
            elif line.what in ("end", "raised"):
                self._ends[_run(line)] = line.what
        found.tasks_run = len(self._runs)
        self._check_stored()
        self._check_refused()
        for task_id, runs in self._runs.items():
            for run in runs[:-1]:
                self._check_again(task_id, run)
        return found

    def _check_stored(self) -> None:
        stored = {line.task_id: line for line in self._progress.lines if line.what == "stored"}
        self._found.stored = len(stored)
        for task_id in [*stored, *(self._statuses.keys() - stored)]:
            runs = self._runs.get(task_id, [])
            status = self._statuses.get(task_id)
            ended = any(self._ends.get(_run(run)) == "end" for run in runs)
            if status is TaskStatus.DEAD and len(runs) >= MAX_DEATHS:
                self._found.dead.append(task_id)
            elif status is not TaskStatus.SUCCESSFUL or not ended:
                shown = [(run.pid, run.attempt, self._ends.get(_run(run))) for run in runs]
                self._found.lost.append(f"{task_id} is {status}, runs: {shown}")

    def _check_refused(self) -> None:
        keys = {line.key for line in self._progress.lines if line.what == "refused"}
        known = {line.key for line in self._progress.lines if line.what == "stored"}
        self._found.refused = len(keys)
        for task_id, (run, *_) in self._runs.items():
            if run.key in keys:
                self._found.refused_ran.append(f"{task_id} ran, and enqueue() had raised an exception")
            elif run.key not in known:
                self._found.unsure += 1
                generation, pid, _ = map(int, run.key.split("."))
                if self._last_time.get((generation, pid), 0) > run.time + NOTE_TIMEOUT:
                    self._found.strangers.append(f"{task_id} was enqueued by process {pid}, which went on")

    def _check_again(self, task_id: str, run: Line) -> None:
        end = self._ends.get(_run(run))
        if end == "raised":
            return
        self._found.again += 1
        self._found.again_ended += end == "end"
        kill = self._kill_of(run.process)
        if kill is None or kill.time < run.time:
            reason = "was not killed"
        elif self._last[run.process] != task_id:
            reason = f"ran {self._last[run.process]} after it"
        elif run.process in self._used:
            reason = "had caused a second run before"
        else:
            self._used.add(run.process)
            return
        self._found.unexplained.append(f"{task_id}, attempt {run.attempt}: process {run.pid} {reason}")

    def _kill_of(self, process: tuple[int, int]) -> Kill | None:
        return self._killed.get(process) or self._killed.get((process[0], 0))


def _run(line: Line) -> Run:
    return (*line.process, line.task_id, line.attempt)
