"""A task's life, as Hypothesis makes it up: the store in SQLite does what the store in memory does."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from heliograph._core.tasks.values import (
    ClaimRequest,
    NewTask,
    Outcome,
    Rate,
    TaskLimits,
    TaskStatus,
)
from heliograph.store.memory import MemoryStore
from heliograph.store.sqlite import SqliteStore

SECOND = 1_000_000
NAMES = ["a:plain", "a:limited", "a:rated", "a:slow", "a:unknown"]
KNOWN = {
    "a:plain": TaskLimits(),
    "a:slow": TaskLimits(),
    "a:limited": TaskLimits(limit=2),
    "a:rated": TaskLimits(rate=Rate(2, 30 * SECOND)),
}
TARGETS = ["mule", "spooler"]
SECONDS = st.integers(0, 100)
INDEX = st.integers(0, 30)
OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from([TaskStatus.SUCCESSFUL, TaskStatus.FAILED]),
    value=st.sampled_from([None, b"1", b"x" * 300]),
    error=st.sampled_from([None, b'{"type": "E"}']),
)


class TwoStores(RuleBasedStateMachine):
    """Both stores get the same calls, by the same clock."""

    owners = Bundle("owners")

    @initialize()
    def open(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = str(Path(self.directory.name) / "tasks")
        self.memory, self.sqlite = MemoryStore(), SqliteStore(self.path, sync=False)
        self.now = 1_800_000_000 * SECOND
        self.ids = []
        self.batches = {}
        self.owner_count = 0
        self.alive = {}

    def teardown(self):
        if hasattr(self, "sqlite"):
            self.sqlite.close()
            self.directory.cleanup()

    def pick(self, index):
        return self.ids[index % len(self.ids)] if self.ids else ("1-none", "1-none")

    def translate(self, task_id):
        """The id in SQLite of a task in memory."""
        return dict(self.ids).get(task_id, task_id)

    @rule(
        name=st.sampled_from(NAMES),
        queue=st.sampled_from(TARGETS),
        priority=st.integers(-2, 2),
        after=st.one_of(st.just(0), SECONDS),
        expires=st.one_of(st.just(0), SECONDS),
        unique=st.sampled_from([None, None, None, "k"]),
        tick=st.sampled_from(["", "", "", "t"]),
        redeliver=st.sampled_from([True, True, False]),
        ttl=st.integers(0, 100),
        count=st.sampled_from([1, 1, 3]),
    )
    def enqueue(self, name, queue, priority, after, expires, unique, tick, redeliver, ttl, count):  # noqa: PLR0917
        task = NewTask(
            name,
            queue,
            priority=priority,
            run_after=after and self.now + after * SECOND,
            expires=expires and self.now + expires * SECOND,
            unique=unique,
            tick=tick,
            redeliver=redeliver,
            result_ttl=ttl * SECOND,
        )
        ours = self.memory.enqueue([task] * count, self.now)
        theirs = self.sqlite.enqueue([task] * count, self.now)
        for mine, its in zip(ours, theirs, strict=True):
            assert mine.is_new == its.is_new
            if mine.is_new:
                self.ids.append((mine.id, its.id))
            else:
                assert (mine.id, its.id) in self.ids

    @rule(target=owners)
    def own(self):
        self.owner_count += 1
        self.alive[self.owner_count] = (self.memory.own(self.now), self.sqlite.own(self.now))
        self.batches[self.owner_count] = []
        return self.owner_count

    @rule(owner=owners, queue=st.sampled_from(TARGETS), limit=st.integers(0, 5), slow=st.booleans())
    def take_turn(self, owner, queue, limit, slow):
        self.turn(owner, queue, limit, slow)

    def turn(self, owner, queue, limit, slow):
        request = ClaimRequest(
            queue, self.now, limit, KNOWN, f"w{owner}", frozenset({"a:slow"}) if slow else frozenset()
        )
        mine, its = (found.turn(request) for found in self.alive[owner])
        assert [self.translate(claim.id) for claim in mine.claims] == [claim.id for claim in its.claims]
        for ours, theirs in zip(mine.claims, its.claims, strict=True):
            assert replace(ours, id="", token=0) == replace(theirs, id="", token=0)
        assert (mine.more, mine.next_at) == (its.more, its.next_at)
        self.batches[owner] = [[ours, theirs, False] for ours, theirs in zip(mine.claims, its.claims, strict=True)]

    @rule(owner=owners, index=INDEX)
    def begin(self, owner, index):
        if batch := self.batches[owner]:
            entry = batch[index % len(batch)]
            mine, its = (found.begin(claim, self.now) for found, claim in zip(self.alive[owner], entry, strict=False))
            if not entry[2]:
                assert mine == its
            entry[2] = True

    @rule(
        owner=owners,
        index=INDEX,
        outcome=OUTCOMES,
        retry=st.integers(-5, 60),
        how=st.sampled_from(["end", "end", "retry", "interrupt"]),
    )
    def finish(self, owner, index, outcome, retry, how):
        if batch := self.batches[owner]:
            entry = batch[index % len(batch)]
            if how == "retry":
                outcome = replace(outcome, status=TaskStatus.READY, value=None, run_after=self.now + retry * SECOND)
            elif how == "interrupt":
                outcome = Outcome(TaskStatus.READY, counts=False)
            for found, claim in zip(self.alive[owner], entry, strict=False):
                found.finish(claim, outcome, self.now)

    @rule(owner=consumes(owners), interrupted=st.booleans())
    def kill(self, owner, interrupted):
        mine, its = self.alive.pop(owner)
        if interrupted:
            mine.interrupt()
            its.interrupt()
        mine.die()
        its._owners.unlock(its.number)
        self.release_gone()

    def release_gone(self):
        """Let another process look for what the killed ones had. Else the stores would do it at different moments."""
        for store in (self.memory, self.sqlite):
            owner = store.own(self.now)
            owner.turn(ClaimRequest("nobody", self.now, 0))
            owner.close(self.now)

    @rule(owner=consumes(owners))
    def close(self, owner):
        for found in self.alive.pop(owner):
            found.close(self.now)

    @rule(index=INDEX)
    def cancel(self, index):
        mine, its = self.pick(index)
        assert self.memory.cancel(mine, self.now) == self.sqlite.cancel(its, self.now)

    @rule(indexes=st.lists(INDEX, max_size=4))
    def retry(self, indexes):
        pairs = [self.pick(index) for index in indexes]
        mine = self.memory.retry([pair[0] for pair in pairs], self.now)
        its = self.sqlite.retry([pair[1] for pair in pairs], self.now)
        assert [self.translate(task) for task in mine] == list(its)

    @rule(index=INDEX, attempt=st.integers(1, 3))
    def report_progress(self, index, attempt):
        mine, its = self.pick(index)
        assert self.memory.report_progress(mine, attempt, b"[1]", self.now) == self.sqlite.report_progress(
            its, attempt, b"[1]", self.now
        )

    @rule(
        statuses=st.lists(st.sampled_from(TaskStatus), max_size=3),
        queue=st.sampled_from([None, *TARGETS]),
        index=st.one_of(st.none(), INDEX),
        limit=st.integers(1, 5),
    )
    def find(self, statuses, queue, index, limit):
        mine, its = (None, None) if index is None else self.pick(index)
        ours = self.memory.find(statuses=statuses, target=queue, after=mine, limit=limit)
        theirs = self.sqlite.find(statuses=statuses, target=queue, after=its, limit=limit)
        assert [self.translate(row.id) for row in ours] == [row.id for row in theirs]

    @rule(name=st.sampled_from(["a:plain", "spooler"]), stop=st.booleans())
    def pause(self, name, stop):
        for store in (self.memory, self.sqlite):
            if stop:
                store.pause(name, "me", self.now)
            else:
                store.resume(name)
        assert self.memory.paused() == self.sqlite.paused()

    @rule(limit=st.integers(1, 5))
    def purge(self, limit):
        self.write_ends()
        assert self.memory.next_removal() == self.sqlite.next_removal()
        assert self.memory.purge(self.now, limit) == self.sqlite.purge(self.now, limit)

    @rule(seconds=st.one_of(st.integers(0, 100), st.integers(-7200, 7200)))
    def pass_time(self, seconds):
        self.now += seconds * SECOND

    @rule()
    def restart(self):
        """Every process is killed, and others open the store."""
        for mine, its in self.alive.values():
            mine.die()
            its._owners.unlock(its.number)
        self.sqlite.close()
        self.sqlite = SqliteStore(self.path, sync=False)
        self.release_gone()
        for number in self.alive:
            self.alive[number] = (self.memory.own(self.now), self.sqlite.own(self.now))
            self.batches[number] = []

    def write_ends(self):
        """Let each owner write the ends that are only in its page."""
        for owner in self.alive:
            self.turn(owner, "nobody", 0, slow=False)

    @invariant()
    def both_have_the_same_tasks(self):
        for mine, its in getattr(self, "ids", []):
            ours, theirs = self.memory.get(mine), self.sqlite.get(its)
            if ours is None or theirs is None:
                assert ours == theirs
            else:
                assert replace(ours, id="") == replace(theirs, id="")


TwoStores.TestCase.settings = settings(
    max_examples=int(os.environ.get("HELIOGRAPH_MODEL_EXAMPLES", "25")),
    stateful_step_count=50,
    deadline=None,
    phases=[p for p in Phase if p is not Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
test_both_stores_agree = TwoStores.TestCase
