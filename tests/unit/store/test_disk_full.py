"""A full disk: `enqueue` raises and names it, ends of attempts wait, and nothing is lost."""

import subprocess
import sys

import pytest

MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


def can_mount():
    done = subprocess.run([*MOUNT, "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def on_small_disk(tmp_path):
    """Run Python code with the path of a file system of 8 MB."""
    if not can_mount():
        pytest.skip("cannot mount a file system in a user namespace")

    def run(code):
        script = tmp_path / "script.py"
        script.write_text(PRELUDE + code)
        disk = tmp_path / "disk"
        disk.mkdir()
        command = f"mount -t tmpfs -o size=8m none {disk} && exec {sys.executable} {script} {disk}"
        done = subprocess.run([*MOUNT, command], capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr

    return run


PRELUDE = """
import errno, os, sys
import pytest
from heliograph._core.tasks.values import *
from heliograph.exceptions import StoreError
from heliograph.store.sqlite import SqliteStore

DISK = sys.argv[1]
NOW = 1_800_000_000_000_000
TASK = NewTask("shop:task", "mule", b"x" * 1000)
REQUEST = ClaimRequest("mule", NOW, 16, {"shop:task": TaskLimits()}, "w")
store = SqliteStore(DISK + "/tasks", sync=False)

def fill(leave=0):
    fd = os.open(DISK + "/ballast", os.O_WRONLY | os.O_APPEND)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except OSError:
        pass
    os.close(fd)
    if leave:
        os.truncate(DISK + "/ballast", os.path.getsize(DISK + "/ballast") - leave)

def free():
    os.truncate(DISK + "/ballast", 0)

open(DISK + "/ballast", "wb").write(b"x" * 100_000)

def enqueue_until_full(many=1):
    ids = []
    with pytest.raises(StoreError, match="cannot enqueue: the disk is full") as caught:
        while True:
            ids += [stored.id for stored in store.enqueue([TASK] * many, NOW)]
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == errno.ENOSPC
    return ids
"""


@pytest.mark.parametrize("many", [1, 500])
def test_enqueue_names_the_full_disk_and_loses_nothing(on_small_disk, many):
    on_small_disk(f"""
ids = enqueue_until_full({many})
assert len(ids) > 100
assert len(store.find(limit=10**6)) == len(ids)
fill()
ids += enqueue_until_full()
free()
ids += [store.enqueue([TASK], NOW)[0].id]
assert sorted(row.id for row in store.find(limit=10**6)) == sorted(ids)
assert store.check() == []
store.close()
again = SqliteStore(DISK + "/tasks", sync=False)
assert sorted(row.id for row in again.find(limit=10**6)) == sorted(ids)
""")


def test_ends_of_attempts_wait_for_space(on_small_disk):
    """Small ones and large ones. A process that is killed meanwhile does not run its tasks again."""
    on_small_disk("""
small, failed, large = (store.enqueue([TASK], NOW)[0].id for _ in range(3))
owner = store.own(NOW)
claims = owner.turn(REQUEST).claims
fill()
enqueue_until_full()
fill()
outcomes = [
    Outcome(TaskStatus.SUCCESSFUL, b"1"),
    Outcome(TaskStatus.FAILED, error=b'{"type": "E"}'),
    Outcome(TaskStatus.SUCCESSFUL, b"y" * 5000),
]
for claim, outcome in zip(claims, outcomes):
    assert owner.begin(claim, NOW)
    owner.finish(claim, outcome, NOW)
with pytest.raises(StoreError, match="disk is full"):
    for _ in range(1000):
        owner.turn(REQUEST)
free()
owner.turn(REQUEST)
rows = {row.id: row for row in store.find(limit=10**6)}
assert (rows[small].status, rows[small].value) == (TaskStatus.SUCCESSFUL, b"1")
assert (rows[failed].status, rows[failed].errors) == (TaskStatus.FAILED, (b'{"type": "E"}',))
assert (rows[large].status, len(rows[large].value)) == (TaskStatus.SUCCESSFUL, 5000)
assert [rows[task].attempts for task in (small, failed, large)] == [1, 1, 1]
assert store.check() == []
""")


KILLED = """
task = store.enqueue([TASK], NOW)[0].id
pid = os.fork()
if pid == 0:
    owner = store.own(NOW)
    [claim] = owner.turn(REQUEST).claims
    fill()
    enqueue_until_full()
    fill()
    owner.begin(claim, NOW)
    owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b"y" * 5000), NOW)
    os.kill(os.getpid(), 9)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
"""
# A process claims a task, runs it while the disk is full, and is killed.


def test_a_process_that_dies_while_the_disk_is_full_does_not_repeat_what_has_ended(on_small_disk):
    on_small_disk(
        KILLED
        + """
free()
owner = store.own(NOW)
assert task not in [claim.id for claim in owner.turn(REQUEST).claims]
row = store.get(task)
assert (row.status, row.value, row.attempts) == (TaskStatus.SUCCESSFUL, None, 1)
assert b"5000 bytes" in row.errors[0]
"""
    )


def test_an_owner_that_cannot_be_made_does_not_keep_the_tasks_of_the_one_before(on_small_disk):
    """The successor of a killed process gets its number, and fails as long as the disk is full."""
    on_small_disk(
        KILLED
        + """
for _ in range(3):
    with pytest.raises(StoreError, match="the disk is full"):
        store.own(NOW)
free()
owner = store.own(NOW)
owner.turn(REQUEST)
assert store.get(task).status is TaskStatus.SUCCESSFUL
assert owner.number == 1
"""
    )


def test_opening_on_a_full_disk_is_not_taken_for_damage(on_small_disk):
    on_small_disk("""
ids = [store.enqueue([TASK], NOW)[0].id for _ in range(100)]
store.close()
import sqlite3
sqlite3.connect(DISK + "/tasks/tasks.db").execute("SELECT * FROM meta").connection.close()  # removes the log
assert not os.path.exists(DISK + "/tasks/tasks.db-shm")
fill()
for call in (lambda: store.enqueue([TASK], NOW), store.find, lambda: store.own(NOW)):
    with pytest.raises(StoreError, match="the disk is full") as caught:
        call()
    assert "damaged" not in str(caught.value)
free()
assert len(store.find(limit=1000)) == 100
store.enqueue([TASK], NOW)
assert store.check() == []
""")


def test_making_a_store_on_a_full_disk_leaves_nothing_that_looks_damaged(on_small_disk):
    on_small_disk("""
for leave in (0, 4096, 8192, 16384, 40960, 80000):
    fill(leave)
    try:
        store.enqueue([TASK], NOW)
        break
    except StoreError as error:
        assert "the disk is full" in str(error), error
        free()
else:
    store.enqueue([TASK], NOW)
assert len(store.find()) == 1
""")


def test_the_space_of_the_log_comes_back(on_small_disk):
    on_small_disk("""
store.enqueue([TASK], NOW)
fill(4 << 20)
enqueue_until_full()
assert store.database.log_size() > 1 << 20
free()
store.database.shrink_log()
assert store.database.log_size() == 0
""")


def test_a_limit_on_the_size_of_files_counts_as_a_full_disk(tmp_path):
    """Also where file systems cannot be mounted."""
    code = (
        PRELUDE
        + """
import resource
store.enqueue([TASK], NOW)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
ids = enqueue_until_full()
assert len(store.find(limit=10**6)) == len(ids) + 1
"""
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=100)
