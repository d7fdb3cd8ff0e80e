"""Processes that are killed at any moment."""

import os
import random
import signal
import time

import pytest

from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.ipc.task_owners import note_kill
from heliograph.store.sqlite import SqliteStore

NAME = "shop:task"
KNOWN = {NAME: TaskLimits()}


def now():
    return time.time_ns() // 1000


def fork(function, *arguments):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function(*arguments)
            code = 0
        finally:
            os._exit(code)
    return pid


def run_tasks(store, journal):
    """Run tasks until none is left. Each writes its number into the journal."""
    fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    owner = store.own(now())
    while True:
        batch = owner.turn(ClaimRequest("mule", now(), 16, KNOWN, f"mule ({os.getpid()})"))
        for claim in batch.claims:
            if owner.begin(claim, now()):
                os.write(fd, claim.arguments + b"\n")
                owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b"1"), now())
        if not batch.claims:
            time.sleep(0.001)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_processes_lose_no_task_and_repeat_only_what_had_begun(directory, tmp_path, seed):
    store, journal, random_ = SqliteStore(directory, sync=False), tmp_path / "journal", random.Random(seed)
    count = 3000
    store.enqueue([NewTask(NAME, "mule", str(number).encode()) for number in range(count)], now())
    kills, runners = 0, [fork(run_tasks, store, journal) for _ in range(2)]
    while store.counts(0) != {(NAME, "mule", TaskStatus.SUCCESSFUL): count}:
        time.sleep(random_.random() * 0.03)
        number = random_.randrange(2)
        kill(runners[number])
        kills += 1
        runners[number] = fork(run_tasks, store, journal)
        assert kills < 1000
    for pid in runners:
        kill(pid)
    ran = journal.read_text().split()
    assert sorted(set(map(int, ran))) == list(range(count))
    rows = store.find(limit=count)
    assert {row.status for row in rows} == {TaskStatus.SUCCESSFUL}
    # Each second run is an attempt that a kill has ended.
    assert len(ran) - count <= sum(row.attempts - 1 for row in rows) <= kills
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("sync", [True, False])
def test_what_enqueue_has_returned_is_there_after_a_kill(directory, sync):
    """Whatever the process was doing at that moment. A task more may be there, whose id nobody has got."""
    for round_ in range(10):
        reader, writer = os.pipe()

        def enqueue_for_ever(writer=writer):
            store = SqliteStore(directory, sync=sync)
            while True:
                [stored] = store.enqueue([NewTask(NAME, "mule")], now())
                os.write(writer, f"{stored.id}\n".encode())

        pid = fork(enqueue_for_ever)
        os.close(writer)
        time.sleep(0.02 + 0.003 * round_)
        kill(pid)
        with os.fdopen(reader) as stream:
            known = stream.read().split()
        store = SqliteStore(directory, sync=sync)
        assert all(store.get(task) is not None for task in known)
        assert len({row.id for row in store.find(limit=10**6)}) == len(store.find(limit=10**6))
        store.close()


def test_an_outcome_in_the_page_survives_the_process(directory):
    """The end of an attempt costs no commit, and is not lost all the same."""
    store = SqliteStore(directory, sync=False)
    tasks = [stored.id for stored in store.enqueue([NewTask(NAME, "mule")] * 3, now())]

    def work():
        owner = store.own(now())
        first, second, _ = owner.turn(ClaimRequest("mule", now(), 16, KNOWN, "w")).claims
        owner.begin(first, now())
        owner.finish(first, Outcome(TaskStatus.SUCCESSFUL, b'"kept"'), now())
        owner.begin(second, now())
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(fork(work), 0)
    owner = store.own(now())
    claims = owner.turn(ClaimRequest("mule", now(), 16, KNOWN, "w")).claims
    assert [(claim.id, claim.attempt) for claim in claims] == [(tasks[1], 2), (tasks[2], 1)]
    assert (store.get(tasks[0]).value, store.get(tasks[0]).attempts) == (b'"kept"', 1)
    store.close()


def test_a_stopped_process_keeps_its_task(directory):
    store = SqliteStore(directory, sync=False)
    [stored] = store.enqueue([NewTask(NAME, "mule")], now())
    reader, writer = os.pipe()

    def work():
        owner = store.own(now())
        [claim] = owner.turn(ClaimRequest("mule", now(), 16, KNOWN, "w")).claims
        owner.begin(claim, now())
        os.write(writer, b"x")
        time.sleep(0.3)
        owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL), now())
        owner.close(now())

    pid = fork(work)
    os.read(reader, 1)
    os.kill(pid, signal.SIGSTOP)
    other = store.own(now())
    later = now() + 10**12
    assert other.turn(ClaimRequest("mule", later, 16, KNOWN, "w")).claims == ()
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)
    row = store.get(stored.id)
    assert (row.status, row.attempts) == (TaskStatus.SUCCESSFUL, 1)
    store.close()


def test_cancel_races_with_begin(directory, tmp_path):
    """True: it never runs. False: it had begun. Nothing else happens."""
    store, journal = SqliteStore(directory, sync=False), tmp_path / "journal"
    tasks = store.enqueue([NewTask(NAME, "mule", str(number).encode()) for number in range(1500)], now())
    runners = [fork(run_tasks, store, journal) for _ in range(2)]
    cancelled = set()
    order = list(range(len(tasks)))
    random.Random(3).shuffle(order)
    for number in order:
        if store.cancel(tasks[number].id, now()):
            cancelled.add(number)
    deadline = time.monotonic() + 60
    while any(not status.is_finished for _, _, status in store.counts(0)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in runners:
        kill(pid)
    ran = list(map(int, journal.read_text().split()))
    assert len(ran) == len(set(ran))
    assert cancelled.isdisjoint(ran)
    assert cancelled | set(ran) == set(range(len(tasks)))
    assert 0 < len(cancelled) < len(tasks)
    statuses = {row.status for number in cancelled if (row := store.get(tasks[number].id))}
    assert statuses == {TaskStatus.CANCELLED}
    store.close()


def test_a_dead_server_is_known_by_its_lock_and_not_by_a_number(directory):
    """In a container, the processes of the next life have the process ids of the last one."""
    store = SqliteStore(directory, sync=False)
    store.enqueue([NewTask(NAME, "mule")], now())

    def claim():
        owner = store.own(now())
        [found] = owner.turn(ClaimRequest("mule", now(), 16, KNOWN, "mule1 (7)")).claims
        owner.begin(found, now())
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(fork(claim), 0)
    new = store.own(now())  # gets the number of the dead one
    [again] = new.turn(ClaimRequest("mule", now(), 16, KNOWN, "mule1 (7)")).claims
    assert again.attempt == 2
    assert new.begin(again, now())
    assert store.own(now()).turn(ClaimRequest("mule", now(), 16, KNOWN, "mule1 (7)")).claims == ()
    store.close()


def begin_and_stop(store, target):
    """Begin a task, and stop as if by SIGSTOP in the middle of it."""
    owner = store.own(now())
    [claim] = owner.turn(ClaimRequest(target, now(), 1, KNOWN, "mule1")).claims
    owner.begin(claim, now())
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.parametrize("target", ["first", "second"])
def test_a_kill_that_the_server_notes_does_not_count_for_that_process_only(directory, target):
    store = SqliteStore(directory, sync=False)
    ids = [stored.id for stored in store.enqueue([NewTask(NAME, name) for name in ("first", "second")], now())]
    pids = [fork(begin_and_stop, store, name) for name in ("first", "second")]
    for pid in pids:
        os.waitpid(pid, os.WUNTRACED)
    note_kill(directory, pids[("first", "second").index(target)])
    for pid in pids:
        kill(pid)
    store.own(now()).turn(ClaimRequest("third", now(), 1, KNOWN, "mule3"))
    attempts = {name: store.get(task_id).attempts for name, task_id in zip(("first", "second"), ids, strict=True)}
    assert attempts == {"first": int(target != "first"), "second": int(target != "second")}
    assert {store.get(task_id).status for task_id in ids} == {TaskStatus.READY}
