"""A process that claims tasks of a store in SQLite."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from heliograph._core.tasks.values import Batch, Claim, ClaimRequest, Outcome
from heliograph.exceptions import StoreError
from heliograph.store import clock
from heliograph.store.allowances import Choice
from heliograph.store.claiming import Chooser, present
from heliograph.store.database import MAX_LOG, Database
from heliograph.store.outcomes import Ends, apply_death, apply_entry, is_plain
from heliograph.store.owner_page import BEGUN, DONE
from heliograph.store.releasing import release, release_gone
from heliograph.store.timings import SLOW, TimingLog
from heliograph.store.waiting import forgotten_waiters
from heliograph.store.writing import Writing

if TYPE_CHECKING:
    from heliograph.store.owners import OwnersFile

_LOOK_FOR_GONE = 0.05
"""Seconds between two looks for owners that are gone, while there is always something to run."""

_LOOK_FOR_PLACE = 1000
"""Microseconds between two looks for the files of the store at the end of an attempt."""

_LOG_RECHECK = 30_000_000
"""Microseconds until the next attempt to shrink a log that a reader of another program keeps long."""


class SqliteOwner:
    """An owner. It has one batch at a time, and serves one thread at a time."""

    def __init__(self, database: Database, now: int) -> None:
        database.ready()
        self._database = database
        self._pid = os.getpid()
        self._owners: OwnersFile
        self._batch: dict[str, tuple[int, Claim]] = {}
        self._unwritten: dict[str, Outcome] = {}
        """Outcomes that are too large for the page, and could not be committed yet."""
        self._looked = 0.0
        self._placed_at = 0
        self._timings = TimingLog()
        self._claimed_at = self._begun_at = 0
        self.number = 0
        try:
            with database.write("claim tasks") as writing:
                self.number = database.owners.lock()
                self._owners = database.owners.share()
                release(writing, self._owners, self.number, now)
                if database.has_waiters():
                    writing.ended += forgotten_waiters(writing.connection)
        except BaseException:
            # Also if only the commit has failed. Otherwise the lock would keep the tasks of an earlier owner with this
            # number RUNNING, as long as this process lives.
            if self.number:
                self._give_up()
            raise
        self._page = self._owners.page(self.number)
        self._page.clear()

    def _give_up(self) -> None:
        self._owners.unlock(self.number)
        self._owners.release()

    def turn(self, request: ClaimRequest) -> Batch:
        """Write the outcomes of the last batch, release the tasks of owners that are gone, and claim tasks."""
        self._check()
        ends = self._ends()
        with self._database.write("claim tasks") as writing:
            self._write_batch(writing, ends, request.now)
            found = present(writing)
            if found.running and self._release_gone(writing, request.now):
                found = present(writing)
            clock.check(self._database, writing, request.now)
            chooser = Chooser(self._database, writing, request, found)
            choice = chooser.choose(self.number)
            self._page.prepare(writing.token, [(row[0], row[3]) for row in choice.rows])  # number, attempt
            if add_timings := not choice.rows or self._timings.is_due:
                self._timings.write(writing.connection, request.now)
        if add_timings:
            self._timings.clear()
        self._page.turn()
        self._unwritten.clear()
        self._claimed_at = request.now
        claims = chooser.claims()
        self._batch = {claim.id: (index, claim) for index, claim in enumerate(claims)}
        if not claims:
            self._shrink_log(choice, request.now)
        return Batch(tuple(claims), choice.more, choice.next_at, frozenset(choice.others), choice.held, choice.expired)

    def begin(self, claim: Claim, now: int) -> bool:
        """Note that the attempt begins. False: the claim does not hold any longer."""
        self._check()
        index = self._index(claim)
        if index is None:
            return False
        self._begun_at = now
        with self._database.gate.lock:  # a thread of this process may be about to cancel it
            if not self._owners.try_begin_lock(self.number):
                with self._database.gate:  # another process is about to cancel it
                    return self._page.begin(index, now)
            try:
                return self._page.begin(index, now)
            finally:
                self._owners.begin_unlock(self.number)

    def finish(self, claim: Claim, outcome: Outcome, now: int) -> None:
        """Note how the attempt ended. An older claim changes nothing."""
        self._check()
        index = self._index(claim)
        if index is None or self._page.state(index) != BEGUN:
            return
        if outcome.counts:
            self._timings.of_function(claim.name).add(claim, self._claimed_at, self._begun_at, now, outcome.status)
        fits = self._page.finish(index, outcome, now)
        if not fits:
            self._unwritten[claim.id] = outcome
        if not (fits and is_plain(outcome) and self._is_in_place(now)) or self._database.has_waiters():
            with contextlib.suppress(StoreError):  # it stays in the page, and the next turn writes it
                self._write_outcome(index, outcome, now)
                self._unwritten.pop(claim.id, None)
                del self._batch[claim.id]

    def _write_outcome(self, index: int, outcome: Outcome, now: int) -> None:
        add_timings = now - self._begun_at >= SLOW
        with self._database.write("write outcomes") as writing:
            apply_entry(writing, self._page.active(index), outcome)
            if add_timings:
                self._timings.write(writing.connection, now)
        if add_timings:
            self._timings.clear()

    def interrupt(self) -> None:
        """Note that the server ends this process: the running attempt does not count if it is killed."""
        if self._pid == os.getpid():
            self._page.set_interrupted()

    def close(self, now: int) -> None:
        """Write all outcomes, and give back the claims that have not begun."""
        if self._pid != os.getpid() or self.number == 0:
            return
        ends = self._ends()
        with self._database.write("write outcomes") as writing:
            self._write_batch(writing, ends, now)
            self._timings.write(writing.connection, now)
        self._timings.clear()
        self._batch, self._unwritten = {}, {}
        self._page.clear()
        self._give_up()
        self.number = 0

    def _check(self) -> None:
        if self._pid != os.getpid() or self.number == 0:
            directory = self._database.directory
            raise StoreError(f"tasks in {directory} are not claimed by this process. Call own() in it.", directory)

    def _is_in_place(self, now: int) -> bool:
        """Return False if the store was removed. Looking at each end would take a tenth of the time of fast tasks."""
        if not 0 <= now - self._placed_at < _LOOK_FOR_PLACE:
            self._placed_at = now if self._database.identity.is_in_place() else 0
        return self._placed_at > 0

    def _index(self, claim: Claim) -> int | None:
        index, own = self._batch.get(claim.id, (0, None))
        return index if own is not None and own.token == claim.token else None

    def _ends(self) -> tuple[Ends, list[tuple[str, int]]]:
        """Return the plain ends of the last batch, and the other tasks of it. No other process waits meanwhile."""
        ends = Ends()
        others: list[tuple[str, int]] = []
        for task_id, (index, claim) in self._batch.items():
            plain = self._page.plain_end(index)
            if plain is None:
                others.append((task_id, index))
            else:
                ends.add(claim.token, *plain)
        return ends, others

    def _write_batch(self, writing: Writing, batch: tuple[Ends, list[tuple[str, int]]], now: int) -> None:
        page = self._page
        ends, others = batch
        is_page_lost = False
        for task_id, index in others:
            entry = page.active(index)
            if entry.token != self._batch[task_id][1].token:
                is_page_lost = True  # somebody has emptied the file of owners
            elif entry.state == DONE:
                apply_entry(writing, entry, self._unwritten.get(task_id, entry.outcome))
            else:
                apply_death(writing, entry, interrupted=page.is_interrupted, now=now)
        ends.write(writing)
        if is_page_lost:
            release(writing, self._owners, self.number, now)

    def _release_gone(self, writing: Writing, now: int) -> bool:
        """Release the tasks of owners that are gone. Return True if there was one."""
        at = time.monotonic()
        if self._batch and at - self._looked <= _LOOK_FOR_GONE:
            return False
        self._looked = at
        return release_gone(writing, self._owners, now)

    def _shrink_log(self, choice: Choice, now: int) -> None:
        """Shrink a long log while there is nothing to run."""
        if self._database.log_size() > MAX_LOG:
            with contextlib.suppress(StoreError):
                self._database.shrink_log()
            if self._database.log_size() > MAX_LOG:
                choice.later(now + _LOG_RECHECK)
