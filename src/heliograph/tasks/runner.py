"""The tasks of this process: claim a batch, run it, and go on for a while.

How it works
    A process takes a turn when it is woken. It claims a few tasks of one target, runs them, and claims again. Each
    claim also writes the outcomes of the batch before. After 50 ms it wakes the target and returns, so that signals
    and SIGTERM get their turn. If more tasks wait than it has claimed, it wakes the target before it runs its own, so
    that another process joins.

    A batch has at most 128 tasks of functions that have been fast so far, and is worth 50 ms at most. A task of another
    function is the last one of its batch, so that no task waits for the end of a slow one.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

from heliograph import engines
from heliograph._core.tasks.values import Batch, Claim, ClaimRequest
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.engines.running_tasks import RUNNING_TASKS
from heliograph.exceptions import StoreError
from heliograph.interfaces.store import TaskOwner, TaskStore
from heliograph.models import MICROSECONDS
from heliograph.tasks.attempts import Attempt, Call
from heliograph.tasks.hosting import now, store, wake
from heliograph.tasks.notices import Notices
from heliograph.tasks.registry import TASKS
from heliograph.tasks.speeds import Speeds
from heliograph.tasks.strays import stray_targets
from heliograph.tasks.tidying import tidy

_LOG = tolerant_logger("heliograph.tasks")

_TURN = 0.05
"""Seconds of a turn, as long as tasks wait."""
_MAX_RETRY = 30.0
"""Seconds until the next turn after the store has failed several times. The first time it is one second."""


@dataclass(eq=False)
class _Claimer:
    """A thread that claims tasks."""

    store: TaskStore
    owner: TaskOwner
    pid: int = field(default_factory=os.getpid)
    busy: bool = False
    missed: set[str] = field(default_factory=set[str])
    """Targets that were woken while this thread ran a task."""


class Runner:
    """Runs the tasks of this process. Each thread that takes turns claims for itself."""

    def __init__(self, call: Call) -> None:
        """`call` calls the function of a task, and returns its final value."""
        self._call = call
        self._claimers = threading.local()
        self._all: list[_Claimer] = []
        self._speeds = Speeds(_TURN)
        self._notices = Notices()
        self._interrupted = False
        self._failures = 0
        """Number of turns in a row that the store has failed."""
        self._damage = ""
        """The damage of the store that was logged last. It stays until somebody repairs it."""

    def turn(self, target: str) -> None:
        """Run tasks of a target, for about 50 ms if more wait.

        In a task that waits for a signal, this only notes that the target was woken.
        """
        try:
            claimer = self._claimer()
            if claimer.busy:
                claimer.missed.add(target)
            else:
                self._take_turns(claimer, target)
                self._failures, self._damage = 0, ""
        except StoreError as error:
            delay = min(2.0 ** min(self._failures, 10), _MAX_RETRY)
            self._failures += 1
            if not error.is_damaged or str(error) != self._damage:
                _LOG.error("Cannot run tasks for %s, trying again in %g s: %s", target, delay, error)
            self._damage = str(error) if error.is_damaged else ""
            wake(target, now() + int(delay * MICROSECONDS))

    def interrupt(self) -> None:
        """Note that the server ends this process: begin no other task. If it is killed, its attempt does not count."""
        self._interrupted = True
        for claimer in self._all:
            if claimer.pid == os.getpid():
                claimer.owner.interrupt()

    def close(self) -> None:
        """Write all outcomes, and give back what has not begun."""
        for claimer in self._all:
            if claimer.pid == os.getpid():
                claimer.owner.close(now())
        self.forget()

    def forget(self) -> None:
        """Forget the owners of this process. The next turn makes a new one."""
        self._all.clear()
        self._claimers = threading.local()
        self._interrupted = False

    def _take_turns(self, claimer: _Claimer, target: str) -> None:
        """Run tasks of a target, and of those for which the server has no process."""
        claimer.busy = True
        try:
            others = self._take_turn(claimer, target, target)
            for stray in stray_targets(target, others) if others else ():
                if not self._interrupted:
                    self._take_turn(claimer, stray, target)
        finally:
            claimer.busy = False
            for missed in claimer.missed:
                wake(missed)
            claimer.missed.clear()

    def _take_turn(self, claimer: _Claimer, target: str, woken: str) -> frozenset[str]:
        """Run tasks of a target in a process that is woken for another one, or for the same.

        Return the other targets that have tasks.
        """
        until = time.monotonic() + _TURN
        limit = self._speeds.batch()
        while True:
            batch = claimer.owner.turn(self._request(target, limit))
            if batch.held or batch.expired:
                self._notices.note(batch)
            if batch.more:
                wake(woken)
            if batch.next_at is not None:
                wake(woken, batch.next_at)
            if not batch.claims:
                tidy(claimer.store, woken)
                return batch.others
            self._run_batch(claimer, batch, woken)
            if self._interrupted:
                self._give_up(claimer, woken)
                return batch.others
            limit = self._speeds.batch() if time.monotonic() < until else 0

    def _request(self, target: str, limit: int) -> ClaimRequest:
        known = TASKS.limits
        return ClaimRequest(target, now(), limit, known, _worker(), self._speeds.slow(known))

    def _run_batch(self, claimer: _Claimer, batch: Batch, woken: str) -> None:
        try:
            for claim in batch.claims:
                if self._interrupted:
                    return
                self._run(claimer, claim)
        except StoreError:
            raise  # the next turn of this owner gives back what has not begun
        except BaseException:
            if os.getpid() == claimer.pid:
                self._give_up(claimer, woken)
            raise

    def _give_up(self, claimer: _Claimer, woken: str) -> None:
        """Give back the claims that have not begun, because the process exits, or an exception ends the turn."""
        try:
            claimer.owner.close(now())
        except StoreError as error:
            _LOG.error("Cannot give back claimed tasks before the end of the process: %s", error)
            return
        self._all.remove(claimer)
        self._claimers.current = None
        wake(woken)

    def _run(self, claimer: _Claimer, claim: Claim) -> None:
        definition = TASKS.definitions[claim.name]
        began = time.perf_counter()
        RUNNING_TASKS.begin(claim.id, claim.name)
        try:
            Attempt(definition, claim, claimer.owner, claimer.store).run(self._call)
        finally:
            RUNNING_TASKS.end()
        if os.getpid() != claimer.pid:
            raise SystemExit(0)  # a process that the function forked returned from it, and is not of the server
        self._speeds.add(claim.name, time.perf_counter() - began)

    def _claimer(self) -> _Claimer:
        found: _Claimer | None = getattr(self._claimers, "current", None)
        current = store()
        if found is None or found.store is not current or found.pid != os.getpid():
            if found is None or found.pid != os.getpid():
                self._interrupted = False
            found = self._claimers.current = _Claimer(current, current.own(now()))
            self._all.append(found)
            targets = {name: task.options.target for name, task in TASKS.definitions.items()}
            current.note_functions(targets, TASKS.limits)
        return found


def _worker() -> str:
    return f"{engines.current().identity} ({os.getpid()})"
