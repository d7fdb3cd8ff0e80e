"""Stores for the tests: the one suite runs on each."""

import pytest

from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.store.memory import MemoryStore
from heliograph.store.sqlite import SqliteStore

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
NAME = "shop.tasks:send_mail"


class Scene:
    """A store, a clock that the test moves, and short forms of what tests do often."""

    def __init__(self, store, kind):
        self.store = store
        self.kind = kind
        self.now = NOW

    def pass_time(self, seconds):
        self.now += int(seconds * SECOND)

    def enqueue(self, name=NAME, target="mule", **options):
        [stored] = self.store.enqueue([NewTask(name, target, **options)], self.now)
        return stored.id

    def own(self):
        return self.store.own(self.now)

    def request(self, target="mule", limit=16, known=(NAME,), limits=None, worker="mule1 (1)"):
        known = {**dict.fromkeys(known, TaskLimits()), **(limits or {})}
        return ClaimRequest(target, self.now, limit, known, worker)

    def turn(self, owner, **options):
        return owner.turn(self.request(**options))

    def claim(self, owner, **options):
        return list(self.turn(owner, **options).claims)

    def run(self, owner, outcome=None, **options):
        """Claim and run what there is, and return the ids."""
        claims = self.claim(owner, **options)
        for claim in claims:
            assert owner.begin(claim, self.now)
            owner.finish(claim, outcome or Outcome(TaskStatus.SUCCESSFUL, b"null"), self.now)
        return [claim.id for claim in claims]

    def kill(self, owner):
        """Let the process of an owner be gone, as the kernel would."""
        if self.kind == "memory":
            owner.die()
        else:
            owner._owners.unlock(owner.number)

    def status(self, task_id):
        return self.store.get(task_id).status


@pytest.fixture(params=["memory", "sqlite"])
def scene(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else SqliteStore(str(tmp_path / "tasks"), sync=False)
    yield Scene(store, request.param)
    store.close()


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "tasks")


@pytest.fixture
def sqlite(directory):
    store = SqliteStore(directory, sync=False)
    yield Scene(store, "sqlite")
    store.close()
