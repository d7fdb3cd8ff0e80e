"""Inject faults while tasks are enqueued and run: kills all the time, and larger faults one after another."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from chaos.faults import MEAN_KILL_INTERVAL, MIN_AGE, RELOAD_TIMEOUT
from chaos.history import ProcessRecord

from .journal import HOLD, RELEASE, JournalReader, Line
from .server import TaskServer
from .volume import Volume

Steps = Generator[None]
"""A fault that takes some time. It yields while it waits, so that kills go on."""

FULL_SECONDS = 1.0
AHEAD = 0.05
"""Part of the kills that may be done before their part of the tasks is stored."""
MEAN_RESTART, MEAN_RELOAD = 2.0, 2.0
"""Seconds that a restart or a reload takes, about."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """Minimum numbers of tasks and faults, and durations in seconds."""

    tasks: int
    kills: int
    masters: int
    reloads: int
    full_disks: int
    stops: int
    stop_seconds: float
    seconds: float
    """Time limit."""

    @property
    def rate(self) -> float:
        """Tasks per second, so that the tasks take as long as the faults."""
        duration = self.kills * MEAN_KILL_INTERVAL + self.masters * MEAN_RESTART + self.reloads * MEAN_RELOAD
        return self.tasks / max(5.0, duration)


class Kill(NamedTuple):
    """A kill of a process, or of a master and with it of all processes of its generation (`pid` is 0)."""

    generation: int
    pid: int
    time: int
    process: str


@dataclass(slots=True)
class TaskProgress:
    """What has happened so far."""

    lines: list[Line] = field(default_factory=list[Line])
    kills: list[Kill] = field(default_factory=list[Kill])
    done: Counter[str] = field(default_factory=Counter[str])
    """Larger faults by kind."""
    stored: int = 0
    held: list[Line] = field(default_factory=list[Line])
    """The beginnings of the runs whose processes were stopped."""
    vanished: list[str] = field(default_factory=list[str])
    """Processes that the server did not leave alone while they were stopped."""

    @property
    def small_kills(self) -> int:
        """Number of kills, without those of the master."""
        return sum(kill.pid != 0 for kill in self.kills)

    def __str__(self) -> str:
        """Return a summary for people."""
        kinds = ", ".join(f"{number} x {kind}" for kind, number in sorted(self.done.items())) or "no larger fault"
        return f"{self.stored} tasks stored, {self.small_kills} kills, {kinds}"


class TaskFaults:
    """The faults of a plan."""

    def __init__(self, server: TaskServer, volume: Volume, plan: TaskPlan, reader: JournalReader) -> None:
        self._server = server
        self._volume = volume
        self._plan = plan
        self._reader = reader
        self.progress = TaskProgress()
        self._killed: set[int] = set()
        self._spared: int | None = None
        """The stopped process, which is not killed."""
        self._seen: dict[int, int] = {}
        """When each fork server was seen first."""
        self._running: tuple[str, Steps] | None = None
        self._left = self._larger_faults()
        self._number = len(self._left)

    def inject(self, report: Callable[[str], None]) -> TaskProgress:
        """Inject faults until the plan is complete or its time is over. Raises `ServerExited` if the server exits."""
        try:
            self._inject(report, time.monotonic() + self._plan.seconds)
        finally:
            if self._running is not None:
                self._running[1].close()
        return self.progress

    def _inject(self, report: Callable[[str], None], deadline: float) -> None:
        next_kill = 0.0
        while not self.complete and time.monotonic() < deadline:
            self._server.check()
            if time.monotonic() >= next_kill and self._is_kill_due():
                self._kill_one()
                next_kill = time.monotonic() + random.expovariate(1 / MEAN_KILL_INTERVAL)
            self._step()
            self.read()
            report(str(self.progress))
            time.sleep(0.02)

    def _is_kill_due(self) -> bool:
        """Return True if another kill is due. A slow machine gets them later, spread over all tasks."""
        progress, plan = self.progress, self._plan
        part = min(1.0, progress.stored / plan.tasks + AHEAD)
        return progress.small_kills < plan.kills * part

    @property
    def complete(self) -> bool:
        """True if the plan is complete."""
        progress, plan = self.progress, self._plan
        faults_done = progress.small_kills >= plan.kills and not self._left and self._running is None
        return faults_done and progress.stored >= plan.tasks

    def read(self) -> None:
        """Read the journal."""
        lines = list(self._reader.new_lines())
        self.progress.lines += lines
        self.progress.stored += sum(line.what == "stored" for line in lines)

    def _larger_faults(self) -> list[tuple[str, Callable[[], Steps]]]:
        plan = self._plan
        kinds: list[tuple[int, str, Callable[[], Steps]]] = [
            (plan.masters, "restart", self._restart),
            (plan.reloads, "reload", self._reload),
            (plan.full_disks if self._volume.can_be_full else 0, "full disk", self._fill_disk),
            (plan.stops, "stopped process", self._stop_process),
        ]
        found = [(kind, begin) for number, kind, begin in kinds for _ in range(number)]
        random.shuffle(found)
        return found

    def _step(self) -> None:
        """Go on with the larger fault, or begin the next one. They are spread evenly over the kills."""
        if self._running is not None:
            kind, steps = self._running
            if next(steps, kind) is kind:
                self.progress.done[kind] += 1
                self._running = None
        elif self._left:
            due = self._plan.kills * (self._number - len(self._left)) / self._number
            if self.progress.small_kills >= due:
                kind, begin = self._left.pop()
                self._running = kind, begin()

    def _kill_one(self) -> None:
        before = time.monotonic_ns() - int(MIN_AGE * 1e9)
        spared = self._killed | {self._spared}
        known = [*self._server.history.newest().values(), *self._fork_servers()]
        candidates = [record for record in known if record.started < before and record.pid not in spared]
        if candidates:
            record = random.choice(candidates)  # noqa: S311 - not for cryptography
            if self._server.kill(record):
                self._note_kill(record.pid, record.process)

    def _fork_servers(self) -> list[ProcessRecord]:
        now = time.monotonic_ns()
        pids = self._server.fork_servers()
        self._seen = {pid: self._seen.get(pid, now) for pid in pids}
        return [ProcessRecord("fork server", pid, 0, started) for pid, started in self._seen.items()]

    def _note_kill(self, pid: int, process: str) -> None:
        self._killed.add(pid)
        self.progress.kills.append(Kill(self._server.generation, pid, time.monotonic_ns(), process))

    def _restart(self) -> Steps:
        yield
        moment = time.monotonic_ns()
        generation = self._server.generation
        self._server.kill_master()
        # The processes do not end at the same moment as the master.
        self.progress.kills.append(Kill(generation, 0, time.monotonic_ns(), "master"))
        yield from self._until_loaded_after(moment)

    def _reload(self) -> Steps:
        while True:
            moment = time.monotonic_ns()
            self._server.reload()
            deadline = time.monotonic() + RELOAD_TIMEOUT
            while time.monotonic() < deadline:
                if self._server.all_loaded_after(moment):
                    return
                yield

    def _until_loaded_after(self, moment: int) -> Steps:
        while not self._server.all_loaded_after(moment):
            yield

    def _fill_disk(self) -> Steps:
        self._volume.fill()
        try:
            yield from _pause(FULL_SECONDS)
        finally:
            self._volume.free()

    def _stop_process(self) -> Steps:
        """Stop a process in the middle of a task, and go on with it later. No other process runs the task meanwhile."""
        release = self._server.directory / RELEASE
        release.unlink(missing_ok=True)
        self._server.client("hold").wait()
        while (begin := self._stop_holder()) is None:
            yield
        try:
            yield from _pause(self._plan.stop_seconds)
        finally:
            self._continue(begin)
        release.touch()
        while not self.progress.vanished and not any(
            line.what == "end" and line.task_id == begin.task_id for line in self.progress.lines
        ):
            yield
        self._spared = None

    def _continue(self, begin: Line) -> None:
        try:
            os.kill(begin.pid, signal.SIGCONT)
        except ProcessLookupError:
            self.progress.vanished.append(f"process {begin.pid}, stopped in task {begin.task_id}")

    def _stop_holder(self) -> Line | None:
        """Stop the process that runs the task. Return the line of its beginning, or None if none runs it yet."""
        held = [line for line in self.progress.lines if line.key.startswith(HOLD) and line.what in ("begin", "end")]
        if not held or held[-1].what == "end":
            return None
        begin = held[-1]
        if begin.pid in self._killed or not self._server.send_unix_signal(
            ProcessRecord("", begin.pid, 0, 0), signal.SIGSTOP
        ):
            return None  # it was killed, and another process will run the task
        self._spared = begin.pid
        self.progress.held.append(begin)
        return begin


def _pause(seconds: float) -> Steps:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
