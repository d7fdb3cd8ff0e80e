"""A store of tasks in memory: for tests of applications, and the oracle for tests of the other stores.

Everything is as plain as possible. It is slow with many tasks.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from heliograph._core.tasks.ids import KEY_BYTES, TaskIds
from heliograph._core.tasks.life import LARGE_JUMP, SLACK, check_new
from heliograph._core.tasks.limits import NO_LIMITS, Begun, held_by
from heliograph._core.tasks.timings import KEPT, TaskTimings, TimingWords
from heliograph._core.tasks.values import Claim, NewTask, Paused, Stored, TaskLimits, TaskRow, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.store.memory_owner import MemoryOwner
from heliograph.store.memory_rows import Row


class MemoryStore:
    """Tasks in a dict. `changed` is the lock of all of it, and tells those that wait for an end."""

    def __init__(self, key: bytes = bytes(KEY_BYTES)) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.rows: dict[str, Row] = {}
        self.begun: dict[str, list[Begun]] = {}
        self.gone: list[MemoryOwner] = []
        self.read: set[tuple[str, int]] = set()
        """The ids of tasks that were read by their id, each with the number of its errors then."""

        self.last_token = 0
        self._ids = TaskIds(key)
        self._last_number = 0
        self._last_owner = 0
        self._last_now = 0
        self._paused: dict[str, Paused] = {}
        self._functions: Mapping[str, str] | None = None
        self._limits: Mapping[str, TaskLimits] = {}
        self._timings: dict[str, tuple[int, TimingWords]] = {}

    @property
    def directory(self) -> None:
        """None: the store has no files."""
        return None

    def enqueue(self, tasks: Sequence[NewTask], now: int) -> list[Stored]:
        """Store tasks, all or none."""
        for task in tasks:
            check_new(task)
        with self.changed:
            return [self._enqueue(task, now) for task in tasks]

    def _enqueue(self, task: NewTask, now: int) -> Stored:
        holder = self._holder(task.name, task.unique) or self._ticked(task.tick)
        if holder is not None:
            return Stored(holder.id, is_new=False)
        self._last_number += 1
        task_id = self._ids.make(self._last_number)
        self.rows[task_id] = Row(task_id, self._last_number, task, now, task.run_after, task.expires)
        return Stored(task_id)

    def _holder(self, name: str, unique: str | None) -> Row | None:
        if unique is None:
            return None
        return next((row for row in self._live() if (row.new.name, row.new.unique) == (name, unique)), None)

    def _ticked(self, tick: str) -> Row | None:
        return next((row for row in self.rows.values() if row.new.tick == tick), None) if tick else None

    def own(self, now: int) -> MemoryOwner:  # noqa: ARG002 - the signature of the interface
        """Return a new owner."""
        with self.changed:
            self._last_owner += 1
            return MemoryOwner(self, self._last_owner)

    def get(self, task_id: str) -> TaskRow | None:
        """Return a task."""
        with self.changed:
            row = self.rows.get(task_id)
            if row is None:
                return None
            self.read.add((task_id, len(row.errors)))
            return row.seen()

    def find(
        self,
        *,
        statuses: Sequence[TaskStatus] = (),
        name: str | None = None,
        target: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[TaskRow]:
        """Return tasks, newest first."""
        with self.changed:
            before = self._ids.read(after) if after is not None else None
            found = [
                row.seen()
                for row in sorted(self.rows.values(), key=lambda row: -row.number)
                if not statuses or row.status in statuses
                if name is None or row.new.name == name
                if target is None or row.new.target == target
                if after is None or (before is not None and row.number < before)
            ]
            return found[:limit]

    def counts(self, now: int) -> Mapping[tuple[str, str, TaskStatus], int]:  # noqa: ARG002 - as above
        """Return the number of tasks by (name, target, status)."""
        counts: dict[tuple[str, str, TaskStatus], int] = {}
        with self.changed:
            for row in self.rows.values():
                key = (row.new.name, row.new.target, row.status)
                counts[key] = counts.get(key, 0) + 1
        return counts

    def next_times(self, now: int) -> Mapping[str, int]:
        """Return the next time at which a task of each target could be claimed."""
        times: dict[str, int] = {}
        with self.changed:
            orphans = [row for owner in self.gone for row in self.running() if row.owner == owner.number]
            for row in [*self._live(TaskStatus.READY), *orphans]:
                if not self.is_paused(row):
                    at = now if row in orphans else max(now, row.run_after)
                    times[row.new.target] = min(at, times.get(row.new.target, at))
        return times

    def cancel(self, task_id: str, now: int) -> bool:
        """Cancel a task that has not begun."""
        with self.changed:
            row = self.rows.get(task_id)
            if row is None or row.status.is_finished or row.begun:
                return False
            if row.status is TaskStatus.RUNNING:
                self.give_back(row)
            row.end(TaskStatus.CANCELLED, now)
            self.changed.notify_all()
            return True

    def retry(self, task_ids: Sequence[str], now: int) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """Give finished tasks their attempts and lives again."""
        refused: dict[str, str] = {}
        with self.changed:
            for task_id in task_ids:
                row = self.rows.get(task_id)
                if row is None:
                    refused[task_id] = "there is no such task"
                elif not row.status.is_finished:
                    refused[task_id] = f"it is {row.status}, and has not finished"
                elif (holder := self._holder(row.new.name, row.new.unique)) is not None:
                    refused[task_id] = f"key {row.new.unique!r} is held by {holder.id}"
                else:
                    row.revive()
        return refused

    def report_progress(self, task_id: str, attempt: int, progress: bytes, now: int) -> bool:  # noqa: ARG002
        """Keep the progress of a running attempt."""
        with self.changed:
            row = self.rows.get(task_id)
            if row is None or not row.begun or row.attempts != attempt:
                return False
            row.progress = progress
            return True

    def pause(self, name: str, by: str, now: int) -> None:
        """Do not begin tasks of this function or target."""
        with self.changed:
            self._paused.setdefault(name, Paused(name, now, by))

    def resume(self, name: str) -> bool:
        """Take `pause` back."""
        with self.changed:
            return self._paused.pop(name, None) is not None

    def paused(self) -> Sequence[Paused]:
        """Return the paused functions and targets."""
        with self.changed:
            return sorted(self._paused.values(), key=lambda paused: paused.name)

    def note_functions(self, targets: Mapping[str, str], limits: Mapping[str, TaskLimits] = NO_LIMITS) -> None:
        """Note the functions that processes have, with their targets and limits."""
        self._functions, self._limits = dict(targets), dict(limits)

    def functions(self) -> Mapping[str, str] | None:
        """Return the functions that were noted last."""
        return self._functions

    def held_back(self, now: int) -> Mapping[str, str]:
        """Return the functions whose limit or rate lets no attempt begin now."""
        with self.changed:
            found = {name: self.held_by(name, limits, now) for name, limits in self._limits.items()}
        return {name: reason for name, reason in found.items() if reason}

    def timings(self) -> Mapping[str, TaskTimings]:
        """Return times and outcomes of the attempts of each function."""
        with self.changed:
            return {name: words.timings() for name, (_, words) in self._timings.items()}

    def timing_of(self, name: str, now: int) -> TimingWords:
        """Return the words to which an attempt of a function is added."""
        _, words = self._timings.get(name, (0, TimingWords()))
        self._timings[name] = now, words
        return words

    def next_removal(self) -> int | None:
        """Return when the next finished task is to be removed."""
        with self.changed:
            return min((row.removed_at for row in self.rows.values() if row.status.is_finished), default=None)

    def purge(self, now: int, limit: int = 500) -> int:
        """Remove finished tasks whose time to be removed has come."""
        with self.changed:
            old = [row for row in self.rows.values() if row.status.is_finished and row.removed_at <= now]
            removed = sorted(old, key=lambda row: (row.removed_at, row.number))[:limit]
            for row in removed:
                del self.rows[row.id]
            self._timings = {name: timing for name, timing in self._timings.items() if timing[0] >= now - KEPT}
            return len(removed)

    def when_finished(self, task_id: str, timeout: float | None) -> TaskRow | None:
        """Wait until a task has finished."""
        with self.changed:
            self.changed.wait_for(
                lambda: (row := self.rows.get(task_id)) is None or row.status.is_finished, timeout=timeout
            )
            return self.get(task_id)

    def backup(self, path: str, progress: Callable[[int, int], None] | None = None) -> None:  # noqa: ARG002
        """Raise `StoreError`: there is nothing that a file could hold."""
        raise StoreError(f"cannot back up a store in memory: {path}. Use a server with --spooler DIR.", path)

    def check(self) -> list[str]:
        """Return the faults of the store: none."""
        return []

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def waiting(self, target: str) -> list[Row]:
        """Return the tasks of a target that wait."""
        return [row for row in self._live(TaskStatus.READY) if row.new.target == target]

    def waiting_targets(self) -> frozenset[str]:
        """Return the targets of all tasks that wait."""
        return frozenset(row.new.target for row in self._live(TaskStatus.READY))

    def running(self) -> list[Row]:
        """Return the claimed tasks."""
        return list(self._live(TaskStatus.RUNNING))

    def claimed(self, claim: Claim) -> Row | None:
        """Return the row of a claim, None if the claim does not hold any longer."""
        row = self.rows.get(claim.id)
        return row if row is not None and row.status is TaskStatus.RUNNING and row.token == claim.token else None

    def is_paused(self, row: Row) -> bool:
        """Return True if the function or the target was paused."""
        return row.new.name in self._paused or row.new.target in self._paused

    def give_back(self, row: Row) -> None:
        """Let a claimed task wait again. Its attempt does not count, for the rate neither."""
        begun = self.begun.get(row.new.name, [])
        if (row.last, 1) in begun:
            begun.remove((row.last, 1))
        row.give_back()

    def release_gone(self, now: int) -> None:
        """Release the tasks of owners that are gone."""
        while self.gone:
            self.release(self.gone.pop(), now)

    def release(self, owner: MemoryOwner, now: int) -> None:
        """Release the tasks of an owner that were not finished: by its death, or by its next turn."""
        for row in [row for row in self.running() if row.owner == owner.number]:
            if row.begun:
                row.die(interrupted=owner.is_interrupted, now=now)
            else:
                self.give_back(row)
            self.changed.notify_all()

    def look_at_clock(self, now: int) -> None:
        """Repair what a clock that was set back would let wait for too long."""
        back, self._last_now = self._last_now - now, now
        if back <= SLACK:
            return
        for row in self.rows.values():
            if row.status is TaskStatus.READY:
                row.repair_pause(now)
            elif back > LARGE_JUMP:
                row.finished_at = min(row.finished_at, now)
        for begun in self.begun.values():
            begun[:] = [(min(at, now), count) for at, count in begun]

    def expire(self, target: str, now: int) -> Mapping[str, int]:
        """Finish the tasks whose time to begin has passed. Return their numbers by function."""
        expired = Counter[str]()
        for row in self.waiting(target):
            if row.expires and row.expires <= now:
                row.end(TaskStatus.EXPIRED, now)
                expired[row.new.name] += 1
                self.changed.notify_all()
        return expired

    def held_by(self, name: str, limits: TaskLimits, now: int) -> str:
        """Return what holds attempts of a function back."""
        running = sum(1 for row in self.running() if row.new.name == name)
        return held_by(limits, running, self.begun.get(name, []), now)

    def _live(self, *statuses: TaskStatus) -> Iterator[Row]:
        wanted = statuses or (TaskStatus.READY, TaskStatus.RUNNING)
        return (row for row in list(self.rows.values()) if row.status in wanted)
