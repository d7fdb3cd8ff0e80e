"""The size of the files, clocks, the version of SQLite, and readers of other programs."""

import ast
import itertools
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import heliograph.store
from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.store.database import MAX_LOG
from heliograph.store.schema import sqlite_warning
from heliograph.store.sqlite import SqliteStore, uptime

SECOND = 1_000_000
DAY = 86_400
NOW = 1_800_000_000 * SECOND
NAME = "shop:task"
TASK = NewTask(NAME, "mule", result_ttl=SECOND)


@pytest.fixture
def store(directory):
    store = SqliteStore(directory, sync=False)
    yield store
    store.close()


def request(now=NOW):
    return ClaimRequest("mule", now, 16, {NAME: TaskLimits()}, "w")


def finish_all(store, now=NOW):
    owner = store.own(now)
    while claims := owner.turn(request(now)).claims:
        for claim in claims:
            assert owner.begin(claim, now)
            owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b"1"), now)
    owner.close(now)


def outsider(directory):
    return sqlite3.connect(f"{directory}/tasks.db", isolation_level=None)


def assert_nothing_is_held(directory):
    """A checkpoint of another process completes, so no statement is open here."""
    with_code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('PRAGMA wal_checkpoint').fetchall()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", with_code, f"{directory}/tasks.db"], capture_output=True, text=True, check=True
    )
    busy, pages, copied = ast.literal_eval(done.stdout)
    assert (busy, pages) == (0, copied)


def test_no_call_leaves_a_statement_open(store, directory):
    task = store.enqueue([TASK] * 40, NOW)[0].id
    owner = store.own(NOW)
    claims = owner.turn(request()).claims
    owner.begin(claims[0], NOW)
    calls = [
        lambda: store.enqueue([TASK], NOW),
        lambda: owner.turn(request()),
        lambda: store.get(task),
        lambda: store.find(limit=3),
        lambda: store.counts(NOW),
        lambda: store.next_times(NOW),
        lambda: store.cancel(store.find(limit=1)[0].id, NOW),
        lambda: store.retry([store.find(statuses=[TaskStatus.CANCELLED])[0].id], NOW),
        lambda: store.report_progress(task, 1, b"1", NOW),
        lambda: (store.pause(NAME, "me", NOW), store.paused(), store.resume(NAME)),
        lambda: (store.next_removal(), store.purge(NOW + 9 * SECOND)),
        lambda: store.when_finished(task, 0.01),
        store.check,
        store.facts,
    ]
    for call in calls:
        call()
        assert_nothing_is_held(directory)


def test_the_log_shrinks_when_nothing_is_to_run(store):
    store.enqueue([NewTask(NAME, "mule", b"x" * 100_000)] * 100, NOW)
    assert store.database.log_size() > MAX_LOG
    finish_all(store)
    assert store.database.log_size() <= MAX_LOG


def test_a_reader_of_another_program_is_survived(store, directory):
    """The log grows while it reads, and shrinks after it has gone, without a restart."""
    store.enqueue([TASK], NOW)
    reader = outsider(directory)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM task").fetchall()
    for _ in range(30):
        store.enqueue([NewTask(NAME, "mule", b"x" * 50_000)] * 10, NOW)
    finish_all(store)
    assert store.facts()["log_bytes"] > MAX_LOG
    owner = store.own(NOW)
    batch = owner.turn(request())
    assert batch.claims == ()
    assert NOW < batch.next_at <= NOW + 60 * SECOND  # another look, while the log is long
    reader.close()
    assert owner.turn(request(batch.next_at)).next_at is None
    assert store.facts()["log_bytes"] <= MAX_LOG
    assert len(store.find(statuses=[TaskStatus.SUCCESSFUL], limit=1000)) == 301


def test_a_writer_of_another_program_is_waited_for(store, directory):
    store.enqueue([TASK], NOW)
    writer = sqlite3.connect(f"{directory}/tasks.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, writer.execute, ("ROLLBACK",)).start()
    store.enqueue([TASK], NOW)
    assert len(store.find()) == 2
    writer.close()


def test_old_tasks_give_their_space_back(store, directory):
    for _ in range(20):
        store.enqueue([NewTask(NAME, "mule", b"x" * 1000, result_ttl=SECOND)] * 500, NOW)
    finish_all(store)
    store.database.shrink_log()
    full = Path(directory, "tasks.db").stat().st_size
    while store.purge(NOW + 10 * SECOND):
        pass
    store.database.shrink_log()
    assert store.find() == []
    assert Path(directory, "tasks.db").stat().st_size < full / 2
    assert store.check() == []


def test_enqueue_does_not_wait_long_for_a_removal(store):
    """Each bite is a transaction of its own."""
    for _ in range(20):
        store.enqueue([TASK] * 1000, NOW)
    finish_all(store)
    removed, longest = 0, 0.0
    while True:
        started = time.perf_counter()
        bite = store.purge(NOW + 10 * SECOND)
        longest = max(longest, time.perf_counter() - started)
        assert bite <= 500
        if not bite:
            break
        removed += bite
    assert removed == 20_000
    assert longest < 1.0


def test_a_clock_that_was_set_ahead_does_not_remove_what_has_just_ended(directory):
    """By the uptime, which nobody can set, it ended a second ago."""
    up = [5 * SECOND]
    store = SqliteStore(directory, sync=False, uptime=lambda: up[0])
    ten_years = 10 * 365 * 86_400 * SECOND
    store.enqueue([NewTask(NAME, "mule", result_ttl=100 * SECOND)] * 3, NOW)
    finish_all(store)
    assert store.purge(NOW) == 0
    up[0] += SECOND
    now = NOW + SECOND + ten_years
    assert store.purge(now) == 0
    [later] = store.enqueue([NewTask(NAME, "mule", result_ttl=10 * SECOND)], now)
    finish_all(store, now)
    up[0] += 20 * SECOND
    now += 20 * SECOND
    assert store.purge(now) == 1  # what ended after the jump is removed in time
    assert store.get(later.id) is None
    up[0] += 100 * SECOND
    now += 100 * SECOND
    assert store.purge(now) == 3
    store.close()


@pytest.mark.parametrize("idle", [1, 3 * DAY])
def test_a_clock_that_was_set_back_and_right_again_removes_nothing_early(directory, idle):
    """Neither what ended before, nor what ended meanwhile, although nothing was removed in between.

    `idle` are seconds without a task before the clock is set back.
    """
    up = [5 * SECOND]
    store = SqliteStore(directory, sync=False, uptime=lambda: up[0])
    task = NewTask(NAME, "mule", result_ttl=4 * DAY * SECOND)
    ended = []
    for seconds, offset in (1, 0), (idle, -2 * DAY), (1, 0):
        up[0] += seconds * SECOND
        now = NOW + up[0] + offset * SECOND
        ended += [(stored.id, up[0]) for stored in store.enqueue([task], now)]
        finish_all(store, now)
    assert store.purge(now) == 0
    for task_id, at in ended:
        up[0] = at + (4 * DAY - 10) * SECOND
        store.purge(NOW + up[0])
        assert store.get(task_id) is not None
    up[0] += (2 * DAY + 20) * SECOND
    store.purge(NOW + up[0])
    assert store.find() == []
    store.close()


def test_time_that_has_really_passed_counts(directory):
    up = [5 * SECOND]
    store = SqliteStore(directory, sync=False, uptime=lambda: up[0])
    store.enqueue([TASK], NOW)
    finish_all(store)
    assert store.purge(NOW) == 0
    up[0] += 10**6 * SECOND
    assert store.purge(NOW + 10**6 * SECOND) == 1
    store.close()


def test_uptime_grows():
    before = uptime()
    time.sleep(0.002)
    assert 1000 < uptime() - before < 60 * SECOND


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 46, 1), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_a_version_of_sqlite_with_a_known_fault_is_named(version, is_affected):
    warning = sqlite_warning(version)
    assert (warning is not None) == is_affected
    if warning:
        assert ".".join(map(str, version)) in warning


def test_the_facts_name_the_version_and_the_size(store, directory):
    store.enqueue([TASK], NOW)
    facts = store.facts()
    assert facts["sqlite"] == sqlite3.sqlite_version
    assert facts["warning"] == sqlite_warning()
    assert (facts["directory"], facts["sync"]) == (directory, "process")
    assert facts["bytes"] > 0
    assert facts["log_bytes"] == Path(directory, "tasks.db-wal").stat().st_size


def test_a_waiting_process_hears_of_an_end_whose_process_was_killed_before_it_told(store, directory, monkeypatch):
    task = store.enqueue([TASK], NOW)[0].id
    answers = []
    thread = threading.Thread(target=lambda: answers.append(store.when_finished(task, 20)))
    thread.start()
    while not store.database.has_waiters() if store.database.pid else True:
        time.sleep(0.01)
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr("heliograph.store.writing.tell", lambda *_: os.kill(os.getpid(), 9))
        owner = store.own(NOW)
        [claim] = owner.turn(request()).claims
        owner.begin(claim, NOW)
        owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL), NOW)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    assert thread.is_alive()
    store.enqueue([TASK], NOW)
    owner = store.own(NOW)
    owner.turn(request())
    thread.join(10)
    assert [row.status for row in answers] == [TaskStatus.SUCCESSFUL]


def test_a_waiting_process_leaves_nothing_behind(store, directory):
    task = store.enqueue([TASK], NOW)[0].id
    assert store.when_finished(task, 0.01).status is TaskStatus.READY
    assert list(Path(directory, "waiters").iterdir()) == []
    assert store.database.read("SELECT count(*) FROM waiter") == [(0,)]
    assert not store.database.has_waiters()


def test_reads_see_one_moment(store):
    """A finished task always has its value, and progress never changes it."""
    tasks = [stored.id for stored in store.enqueue([TASK] * 300, NOW)]
    wrong, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            for task in tasks[::20]:
                row = store.get(task)
                if row.status is TaskStatus.SUCCESSFUL and row.value != b'"done"':
                    wrong.append(row)

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    owner = store.own(NOW)
    while claims := owner.turn(request()).claims:
        for claim in claims:
            owner.begin(claim, NOW)
            assert store.report_progress(claim.id, 1, b"[1]", NOW)
            owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b'"done"'), NOW)
            assert not store.report_progress(claim.id, 1, b"[2]", NOW)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {store.get(task).progress for task in tasks} == {b"[1]"}


def test_a_program_that_opens_the_database_costs_no_task(store, directory):
    """`open(...).read()` frees SQLite's locks in that process. The gate keeps commits and checkpoints apart."""
    ids = [store.enqueue([TASK], NOW)[0].id]
    Path(directory, "tasks.db").read_bytes()
    other = "import sys; from heliograph.store.sqlite import SqliteStore as S; s = S(sys.argv[1]); s.find(); s.close()"
    subprocess.run([sys.executable, "-c", other, directory], check=True)
    for _ in range(200):
        try:
            ids.append(store.enqueue([TASK], NOW)[0].id)
        except StoreError:
            continue  # it was noticed, and the next one opens the store again
    again = SqliteStore(directory)
    assert all(again.get(task) is not None for task in ids)
    assert len(ids) >= 200
    again.close()


def test_the_package_opens_the_database_by_sqlite_only():
    """Closing any other descriptor of the file would free SQLite's locks in the whole process."""
    opened = re.compile(r"(?<![.\w])open\(|os\.open\(|read_bytes|read_text|shutil\.\w+\(|\bcopyfile\b")
    found = {
        (path.name, line.strip())
        for path in Path(heliograph.store.__file__).parent.glob("*.py")
        for line in path.read_text().splitlines()
        if opened.search(line)
    }
    on_database = {(name, line) for name, line in found if re.search(r"\bpath\b", line) and "O_EXCL" not in line}
    # An identity, an owners file, a backup or a directory each has a path of its own.
    assert {name for name, _ in on_database} <= {
        "identity.py",
        "owners.py",
        "copying.py",
        "function_notes.py",
        "waiting.py",
        "log_length.py",  # SQLite locks nothing in the log
    }
    assert not any("database" in line.lower() for _, line in found)
    assert len(found) > 5


def test_next_times_look_into_the_indexes_and_read_no_list_of_waiting_tasks(store):
    store.enqueue([TASK], NOW)
    statements = []
    reader = store.database._connections.reader
    reader.set_trace_callback(statements.append)
    assert store.next_times(NOW) == {"mule": NOW}
    reader.set_trace_callback(None)
    plans = [row[3] for sql in statements for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
    assert any("task_due" in plan for plan in plans)
    assert [plan for plan in plans if plan.startswith("SCAN task") and "task_running" not in plan] == []


# The length of the log.


def store_one_by_one(directory, count):
    """Store tasks in a process that ends without closing anything. Return the lengths of the log after each."""
    pid = os.fork()
    if not pid:
        store = SqliteStore(directory, sync=True)
        lengths = []
        for _ in range(count):
            store.enqueue([TASK], NOW)
            lengths.append(Path(directory, "tasks.db-wal").stat().st_size)
        Path(directory, "lengths").write_text("\n".join(map(str, lengths)))
        os._exit(0)
    os.waitpid(pid, 0)
    return [int(line) for line in Path(directory, "lengths").read_text().split()]


def test_the_log_grows_in_large_steps(directory):
    """A commit that makes the file longer takes twice as long."""
    lengths = store_one_by_one(directory, 100)
    steps = {after - before for before, after in itertools.pairwise(lengths) if after > 2 * 65536}
    assert 0 in steps
    assert min(steps - {0}) > 65536


def test_zeros_behind_the_log_are_no_damage(directory):
    """The process that has stored the tasks was killed, so the next one reads the log."""
    store_one_by_one(directory, 100)
    assert Path(directory, "tasks.db-wal").read_bytes()[-4096:] == bytes(4096)
    store = SqliteStore(directory, sync=True)
    assert store.check() == []
    assert len(store.find(limit=500)) == 100
    store.enqueue([TASK], NOW)
    assert len(store.find(limit=500)) == 101
    store.close()


def test_a_short_log_stays_short(directory):
    """A command that stores one task writes no megabytes."""
    assert store_one_by_one(directory, 3)[-1] < 65536
