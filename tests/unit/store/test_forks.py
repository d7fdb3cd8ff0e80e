"""A process that forks while it has a store open."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.store.sqlite import SqliteStore

NOW = 1_800_000_000_000_000
NAME = "shop:task"
TASK = NewTask(NAME, "mule")


def locks_on(path):
    """The record locks that this process holds on a file."""
    inode = Path(path).stat().st_ino
    return [
        line
        for line in Path("/proc/locks").read_text().splitlines()
        if f":{inode} " in line and line.split()[4] == str(os.getpid())
    ]


def in_child(function):
    """Run a function in a forked child. It fails by an exception."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return pid


def check(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def store(directory):
    store = SqliteStore(directory, sync=False)
    yield store
    store.close()


def enqueue(store, count=1):
    for _ in range(count):
        store.enqueue([TASK], NOW)


def test_each_process_holds_locks_of_its_own(store, directory):
    """A connection that was inherited makes SQLite take no lock at all: commits are lost when the parent goes."""
    enqueue(store)
    store.get("1-x")  # opens the connection that reads, too
    assert locks_on(f"{directory}/tasks.db-shm") or locks_on(f"{directory}/tasks.db")

    def child():
        enqueue(store)
        assert locks_on(f"{directory}/tasks.db-shm") or locks_on(f"{directory}/tasks.db")
        check(in_child(grandchild))
        enqueue(store)

    def grandchild():
        enqueue(store)
        assert locks_on(f"{directory}/tasks.db-shm") or locks_on(f"{directory}/tasks.db")

    check(in_child(child))
    enqueue(store)
    assert len(store.find()) == 5


def test_a_child_loses_nothing_when_its_parent_closes_the_store(directory):
    """The parent's last close would remove the log that the child writes to, if the child held no lock."""
    store = SqliteStore(directory, sync=False)
    enqueue(store)
    go, closed = os.pipe()

    def child():
        enqueue(store, 50)
        os.read(go, 1)
        enqueue(store, 50)
        os.kill(os.getpid(), signal.SIGKILL)

    pid = in_child(child)
    time.sleep(0.1)
    store.close()
    os.write(closed, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    again = SqliteStore(directory, sync=False)
    assert len(again.find(limit=1000)) == 101
    assert again.check() == []
    again.close()


def test_forks_of_a_process_whose_threads_write(store):
    """No thread is inside SQLite at the moment of the fork, so the child finds no lock of a thread that it lacks."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=lambda: [enqueue(store) for _ in iter(stop.is_set, True)], daemon=True)
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            pid = in_child(lambda: (signal.alarm(20), enqueue(store), store.find(limit=1)))
            check(pid)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert store.check() == []


def test_a_fork_within_a_transaction_leaves_it_to_the_parent(store):
    enqueue(store)
    with store.database.write("test") as writing:
        writing.connection.execute("DELETE FROM task")
        check(in_child(lambda: None))
    assert store.find() == []


def test_an_owner_belongs_to_the_process_that_made_it(store):
    enqueue(store)
    owner = store.own(NOW)
    request = ClaimRequest("mule", NOW, 16, {NAME: TaskLimits()}, "w")
    [claim] = owner.turn(request).claims

    def child():
        for call in (
            lambda: owner.turn(request),
            lambda: owner.begin(claim, NOW),
            lambda: owner.finish(claim, Outcome(TaskStatus.FAILED), NOW),
        ):
            with pytest.raises(StoreError, match="not claimed by this process"):
                call()
        owner.interrupt()
        owner.close(NOW)  # does nothing, as at the exit of a child
        other = store.own(NOW)
        assert other.number != owner.number
        assert other.turn(request).claims == ()

    check(in_child(child))
    assert owner.begin(claim, NOW)
    assert not owner._page.is_interrupted


def test_a_child_that_lives_on_does_not_keep_the_tasks_of_a_dead_process(store):
    """A function may have forked a process that does not end. The kernel frees the owner's lock all the same."""
    enqueue(store)
    request = ClaimRequest("mule", NOW, 16, {NAME: TaskLimits()}, "w")
    ready, done = os.pipe()

    def claimer():
        owner = store.own(NOW)
        [claim] = owner.turn(request).claims
        assert owner.begin(claim, NOW)
        if os.fork() == 0:
            os.write(done, f"{os.getpid()}\n".encode())
            time.sleep(30)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    pid = in_child(claimer)
    left_over = int(os.read(ready, 20))
    os.waitpid(pid, 0)
    try:
        [claim] = store.own(NOW).turn(request).claims
        assert claim.attempt == 2
    finally:
        os.kill(left_over, signal.SIGKILL)


def test_a_process_that_never_used_the_store_opens_nothing(directory):
    store = SqliteStore(directory)
    assert not Path(directory).exists()
    store.close()


def test_importing_heliograph_imports_no_sqlite():
    code = "import sys, heliograph, heliograph.ipc.store_directory; print('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_store_in_memory_imports_no_sqlite():
    code = "import sys, heliograph.store.memory; print('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
