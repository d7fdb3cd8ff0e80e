"""An owner of tasks of the store in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heliograph._core.tasks.limits import allowance, refill_at
from heliograph._core.tasks.values import Batch, Claim, ClaimRequest, Outcome, TaskLimits
from heliograph.store.memory_rows import Row

if TYPE_CHECKING:
    from heliograph.store.memory import MemoryStore

RECHECK = 1_000_000
"""Microseconds until a look at tasks that wait for attempts under another target."""


class MemoryOwner:
    """Claims tasks of a `MemoryStore`. `die` stands for the end of its process."""

    def __init__(self, store: MemoryStore, number: int) -> None:
        self._store = store
        self.number = number
        self.is_interrupted = False
        self._claimed_at = 0

    def turn(self, request: ClaimRequest) -> Batch:
        """Release the tasks of the last batch and of owners that are gone, and claim tasks."""
        with self._store.changed:
            self._claimed_at = request.now
            self._store.release(self, request.now)
            self._store.release_gone(request.now)
            self._store.look_at_clock(request.now)
            expired = self._store.expire(request.target, request.now)
            return replace(self._claim(request), expired=expired)

    def begin(self, claim: Claim, now: int) -> bool:
        """Note that the attempt begins. False: the claim does not hold any longer."""
        with self._store.changed:
            row = self._store.claimed(claim)
            if row is None:
                return False
            row.begin(now)
            return True

    def finish(self, claim: Claim, outcome: Outcome, now: int) -> None:
        """Note how the attempt ended. An older claim changes nothing."""
        with self._store.changed:
            row = self._store.claimed(claim)
            if row is not None and row.begun:
                if outcome.counts:
                    self._store.timing_of(claim.name, now).add(claim, self._claimed_at, row.last, now, outcome.status)
                row.finish(outcome, now)
                self._store.changed.notify_all()

    def interrupt(self) -> None:
        """Note that the server ends this process."""
        self.is_interrupted = True

    def close(self, now: int) -> None:
        """Give back the claims that have not begun. A task that still runs is treated as if the process had died."""
        with self._store.changed:
            self._store.gone.append(self)
            self._store.release_gone(now)

    def die(self) -> None:
        """Leave the claims as they are, as a process does that is killed. The next turn of another owner finds them."""
        with self._store.changed:
            self._store.gone.append(self)

    def _claim(self, request: ClaimRequest) -> Batch:
        store, claims, more = self._store, list[Claim](), False
        waiting = sorted(store.waiting(request.target), key=lambda row: row.order)
        free = {name: self._allowed(name, limits, request.now) for name, limits in request.known.items()}
        due = {row.new.name for row in waiting if row.run_after <= request.now and not store.is_paused(row)}
        held = {name: store.held_by(name, request.known[name], request.now) for name in due if free.get(name) == 0}
        for row in waiting:
            name = row.new.name
            if row.run_after > request.now or store.is_paused(row) or not free.get(name):
                continue
            if len(claims) >= request.limit or (claims and claims[-1].name in request.slow):
                more = True
                break
            free[name] -= 1
            store.last_token += 1
            claims.append(row.claim(self.number, store.last_token, request.worker, request.now))
            store.begun.setdefault(name, []).append((request.now, 1))
        others = store.waiting_targets() - {request.target}
        return Batch(tuple(claims), more, self._next_at(request), others, held)

    def _allowed(self, name: str, limits: TaskLimits, now: int) -> int:
        running = sum(1 for row in self._store.running() if row.new.name == name)
        return allowance(limits, running, self._store.begun.get(name, []), now)

    def _next_at(self, request: ClaimRequest) -> int | None:
        times = [row.expires for row in self._store.waiting(request.target) if row.expires]
        for row in self._store.waiting(request.target):
            limits = request.known.get(row.new.name)
            if limits is not None and not self._store.is_paused(row):
                times += self._times(row, limits, request.now)
        return min(times, default=None)

    def _times(self, row: Row, limits: TaskLimits, now: int) -> list[int]:
        if row.run_after > now:
            return [row.run_after]
        if limits.limit and any(
            other.new.name == row.new.name and other.new.target != row.new.target for other in self._store.running()
        ):
            return [now + RECHECK]
        if limits.rate is not None:
            at = refill_at(limits.rate, self._store.begun.get(row.new.name, []))
            return [at] if at is not None and at > now else []
        return []
