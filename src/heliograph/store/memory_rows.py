"""The rows of the store in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliograph._core.tasks.life import after_death, death_error
from heliograph._core.tasks.values import Claim, NewTask, Outcome, TaskRow, TaskStatus


@dataclass(slots=True)
class Row:
    """A task. `owner` is the number of the owner that has claimed it, 0 if none has."""

    id: str
    number: int
    new: NewTask
    enqueued_at: int
    run_after: int
    expires: int
    status: TaskStatus = TaskStatus.READY
    owner: int = 0
    token: int = 0
    begun: bool = False
    attempts: int = 0
    deaths: int = 0
    first: int = 0
    last: int = 0
    finished_at: int = 0
    put_off_at: int = 0
    """Time of the last end of an attempt that is followed by another one."""

    workers: list[str] = field(default_factory=list[str])
    value: bytes | None = None
    errors: list[bytes] = field(default_factory=list[bytes])
    progress: bytes | None = None

    @property
    def order(self) -> tuple[int, int]:
        """The place among tasks that could run: larger priorities first, then the older ones."""
        return -self.new.priority, self.number

    @property
    def removed_at(self) -> int:
        """The time at which the finished task is to be removed."""
        return self.finished_at + self.new.result_ttl

    def claim(self, owner: int, token: int, worker: str, now: int) -> Claim:
        """Give the task to an owner."""
        self.status, self.owner, self.token, self.begun = TaskStatus.RUNNING, owner, token, False
        self.attempts += 1
        self.first, self.last = self.first or now, now
        self.workers.append(worker)
        self.progress = None
        new = self.new
        return Claim(
            id=self.id,
            token=token,
            name=new.name,
            arguments=new.arguments,
            attempt=self.attempts,
            enqueued_at=self.enqueued_at,
            first_attempt_at=self.first,
            priority=new.priority,
            run_after=self.run_after,
            redeliver=new.redeliver,
            overrides=new.overrides,
            unique=new.unique,
            expires=self.expires,
        )

    def begin(self, now: int) -> None:
        """Note that the attempt begins."""
        if self.first == self.last:
            self.first = now
        self.last, self.begun = now, True

    def give_back(self) -> None:
        """Let the task wait again, as if the attempt had never been made."""
        self.attempts -= 1
        self.workers.pop()
        self.status, self.owner, self.begun = TaskStatus.READY, 0, False

    def finish(self, outcome: Outcome, now: int) -> None:
        """Apply the end of an attempt."""
        if outcome.error is not None:
            self.errors.append(outcome.error)
        self.deaths, self.value = 0, outcome.value
        if outcome.status is TaskStatus.READY:
            if outcome.counts:
                self.status, self.owner, self.begun = TaskStatus.READY, 0, False
            else:
                self.give_back()
            self.run_after, self.put_off_at = outcome.run_after, now
        else:
            self.end(outcome.status, now)

    def die(self, *, interrupted: bool, now: int) -> None:
        """Apply the end of the process that ran the task."""
        death = after_death(self.deaths, redeliver=self.new.redeliver, interrupted=interrupted)
        self.deaths = death.deaths
        if not death.counts:
            self.give_back()
            return
        self.errors.append(death_error(self.workers[-1]))
        self.status, self.owner, self.begun = TaskStatus.READY, 0, False
        if death.status is not TaskStatus.READY:
            self.end(death.status, now)

    def end(self, status: TaskStatus, now: int) -> None:
        """Finish the task."""
        self.status, self.owner, self.begun, self.finished_at = status, 0, False, now

    def repair_pause(self, now: int) -> None:
        """Let the pause before another attempt begin now, if it began later by a clock that was set back."""
        if self.put_off_at > now:
            self.run_after += now - self.put_off_at
            self.put_off_at = now

    def revive(self) -> None:
        """Give a finished task its attempts and lives again."""
        self.status, self.attempts, self.deaths = TaskStatus.READY, 0, 0
        self.run_after = self.expires = self.finished_at = 0
        self.value = self.progress = None

    def seen(self) -> TaskRow:
        """Return the row as others see it."""
        new = self.new
        return TaskRow(
            id=self.id,
            name=new.name,
            target=new.target,
            arguments=new.arguments,
            status=self.status,
            priority=new.priority,
            run_after=self.run_after,
            expires=self.expires,
            unique=new.unique,
            redeliver=new.redeliver,
            overrides=new.overrides,
            attempts=self.attempts,
            deaths=self.deaths,
            enqueued_at=self.enqueued_at,
            first_attempt_at=self.first,
            last_attempt_at=self.last,
            finished_at=self.finished_at,
            workers=tuple(self.workers),
            value=self.value,
            errors=tuple(self.errors),
            progress=self.progress,
        )
