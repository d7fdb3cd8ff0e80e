"""The interface of a store of tasks, and of a process that claims them.

Two implementations exist: `heliograph.store.sqlite` for servers, `heliograph.store.memory` for tests, where it is also
the oracle of the other one. One test suite proves both. A store of several machines will be the third.

Every method may be called from any thread. Every method that changes something is one transaction: after an exception
nothing has changed, unless the method says otherwise. Times are microseconds since 1970-01-01 UTC, and are given by the
caller, so that a test can use a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from heliograph._core.tasks.timings import TaskTimings
from heliograph._core.tasks.values import (
    Batch,
    Claim,
    ClaimRequest,
    NewTask,
    Outcome,
    Paused,
    Stored,
    TaskLimits,
    TaskRow,
    TaskStatus,
)


class TaskOwner(Protocol):
    """A process that claims tasks. The kernel frees its claims as soon as it is gone: no clock decides that."""

    def turn(self, request: ClaimRequest) -> Batch:
        """Write the outcomes of the last batch, release the tasks of owners that are gone, and claim tasks.

        All of that is one transaction.

        An outcome that cannot be written (disk full) is kept, and written by a later call.

        Raises:
            StoreError: The store cannot be read or written.
        """
        ...

    def begin(self, claim: Claim, now: int) -> bool:
        """Note that the attempt begins. If the process dies from now on, the attempt counts as a death.

        Return False if the claim does not hold any longer: the task was cancelled. It must not run then.
        """
        ...

    def finish(self, claim: Claim, outcome: Outcome, now: int) -> None:
        """Note how the attempt ended. From the return on, an end of this process does not repeat the task."""
        ...

    def interrupt(self) -> None:
        """Note that the server ends this process: the running attempt does not count if the process is killed."""
        ...

    def close(self, now: int) -> None:
        """Write all outcomes, and give back the claims that have not begun."""
        ...


class TaskStore(Protocol):
    """Tasks as rows."""

    @property
    def directory(self) -> str | None:
        """The directory of the files of the store. None: it has none."""
        ...

    def enqueue(self, tasks: Sequence[NewTask], now: int) -> list[Stored]:
        """Store tasks, all or none, and return the answer for each in the same order.

        A unique key belongs to the function: two functions may have tasks with the same key. A tick belongs to the
        store.

        When the method has returned, the tasks are stored as safely as the store was told to (`--task-sync`).

        Raises:
            StoreError: The tasks could not be stored (disk full, damaged, removed).
            ValueError: A number does not fit in 64 bits, or a text has NUL characters or lone surrogates.
        """
        ...

    def own(self, now: int) -> TaskOwner:
        """Make this process one that claims tasks."""
        ...

    def get(self, task_id: str) -> TaskRow | None:
        """Return a task, None if there is no such task, or if it was removed since its end."""
        ...

    def find(
        self,
        *,
        statuses: Sequence[TaskStatus] = (),
        name: str | None = None,
        target: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[TaskRow]:
        """Return tasks, newest first, those that were stored before the one with the id `after`."""
        ...

    def counts(self, now: int) -> Mapping[tuple[str, str, TaskStatus], int]:
        """Return the number of tasks by (name, target, status)."""
        ...

    def next_times(self, now: int) -> Mapping[str, int]:
        """Return the next time at which a task of each target could be claimed. `now` stands for waiting ones."""
        ...

    def cancel(self, task_id: str, now: int) -> bool:
        """Cancel a task that has not begun.

        True: it will never run. False: it has begun, or has ended, or is unknown.
        """
        ...

    def retry(self, task_ids: Sequence[str], now: int) -> Mapping[str, str]:
        """Give finished tasks their attempts and lives again. Return those for which that failed, with the reason."""
        ...

    def report_progress(self, task_id: str, attempt: int, progress: bytes, now: int) -> bool:
        """Keep the progress of a running attempt. False, and no change, if that attempt does not run."""
        ...

    def pause(self, name: str, by: str, now: int) -> None:
        """Do not begin tasks of this function, or of this target, until `resume`. It survives restarts."""
        ...

    def resume(self, name: str) -> bool:
        """Take `pause` back. Return True if it was paused."""
        ...

    def paused(self) -> Sequence[Paused]:
        """Return the paused functions and targets."""
        ...

    def note_functions(self, targets: Mapping[str, str], limits: Mapping[str, TaskLimits] = ...) -> None:
        """Note the functions that the processes of the server have now, with target and limits. Failures are logged."""
        ...

    def held_back(self, now: int) -> Mapping[str, str]:
        """Return the functions whose noted limit or rate lets no attempt begin now -> `limit` or `rate`."""
        ...

    def functions(self) -> Mapping[str, str] | None:
        """Return the functions that `note_functions` was last given. None: it was never called."""
        ...

    def timings(self) -> Mapping[str, TaskTimings]:
        """Return times and outcomes of the attempts of each function that has run in the last 30 days.

        A process adds its figures about once a second, and when it has nothing to run. If it is killed, those of the
        last second are lost.
        """
        ...

    def next_removal(self) -> int | None:
        """Return when the next finished task is to be removed (`NewTask.result_ttl`). None: there is none."""
        ...

    def purge(self, now: int, limit: int = 500) -> int:
        """Remove at most `limit` finished tasks whose time to be removed has come. Return their number."""
        ...

    def when_finished(self, task_id: str, timeout: float | None) -> TaskRow | None:
        """Wait until a task has finished, at most `timeout` seconds, without polling, and return it as it is then.

        Return None at once if there is no such task.
        """
        ...

    def backup(self, path: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Write a copy of the store to `path`. `progress(done, total)` is called now and then, in pages."""
        ...

    def check(self) -> list[str]:
        """Return the faults of the store, a line each. An empty list: there are none."""
        ...

    def close(self) -> None:
        """Close everything that this process has open."""
        ...
