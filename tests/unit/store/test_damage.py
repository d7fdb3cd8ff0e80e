"""A store that was damaged, emptied, removed, replaced or restored from a copy. No byte of it changes."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.store import schema
from heliograph.store.restoring import free_suffix, restore
from heliograph.store.sqlite import SqliteStore

NOW = 1_800_000_000_000_000
TASK = NewTask("shop:task", "mule")

LEAVE_UNCLEAN = """
import os, sys
from heliograph._core.tasks.values import NewTask
from heliograph.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], sync=False)
for _ in range(int(sys.argv[2])):
    store.enqueue([NewTask("shop:task", "mule")], 1_800_000_000_000_000)
store.cancel(store.find(limit=1)[0].id, 1_800_000_000_000_000)
os._exit(0)
"""


@pytest.fixture
def opened(directory):
    """A store that is in use."""
    store = SqliteStore(directory, sync=False)
    for _ in range(3):
        store.enqueue([TASK], NOW)
    yield store
    store.close()


@pytest.fixture
def stopped(directory):
    """A store whose last process was killed: its tasks are in the log."""
    fill(directory, 200)
    return directory


def fill(directory, count):
    subprocess.run([sys.executable, "-c", LEAVE_UNCLEAN, directory, str(count)], check=True)


def database(directory):
    return Path(directory, "tasks.db")


def log(directory):
    return Path(directory, "tasks.db-wal")


def contents(directory):
    """The bytes of all files but the shared memory, which has no data."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(directory).iterdir())
        if path.is_file() and not path.name.endswith("-shm")
    }


def assert_refused(directory, reason="damaged"):
    before = contents(directory)
    store = SqliteStore(directory, sync=False)
    for call in (
        lambda: store.enqueue([TASK], NOW),
        lambda: store.own(NOW),
        store.find,
    ):
        with pytest.raises(StoreError, match=reason) as caught:
            call()
        assert isinstance(caught.value, OSError)
        assert caught.value.path == directory
    assert store.check() != []
    store.close()
    assert contents(directory) == before


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_an_unclean_stop_is_no_damage(stopped):
    store = SqliteStore(stopped, sync=False)
    assert len(store.find(limit=500)) == 200
    assert store.check() == []
    store.close()
    again = SqliteStore(stopped)
    assert len(again.find(limit=500)) == 200
    again.close()


def test_a_removed_log_is_noticed(stopped):
    log(stopped).unlink()
    assert_refused(stopped)


def test_a_shortened_log_is_noticed(stopped):
    os.truncate(log(stopped), log(stopped).stat().st_size - 100)
    assert_refused(stopped)


def test_a_byte_in_the_middle_of_the_log_is_noticed(stopped):
    flip(log(stopped), log(stopped).stat().st_size // 2)
    assert_refused(stopped)


def test_a_byte_in_the_header_of_the_log_is_noticed(stopped):
    flip(log(stopped), 4)
    assert_refused(stopped)


def test_an_emptied_database_is_noticed(stopped):
    os.truncate(database(stopped), 0)
    assert_refused(stopped)


def test_a_removed_database_is_noticed(stopped):
    database(stopped).unlink()
    assert_refused(stopped)


def test_a_removed_database_and_log_are_noticed(stopped):
    for path in Path(stopped).glob("tasks.db*"):
        path.unlink()
    assert_refused(stopped)


def test_a_removed_identity_is_noticed(stopped):
    Path(stopped, "identity").unlink()
    assert_refused(stopped, "identity")


@pytest.mark.parametrize("bad", [b"", b"x" * 4096, b"x" * 100])
def test_a_damaged_identity_is_noticed(stopped, bad):
    Path(stopped, "identity").write_bytes(bad)
    assert_refused(stopped, "identity")


def test_a_damaged_header_of_the_database_is_noticed(stopped):
    close_cleanly(stopped)
    flip(database(stopped), 3)
    assert_refused(stopped)


def test_the_removal_of_shared_memory_is_no_damage(stopped):
    Path(f"{database(stopped)}-shm").unlink()
    store = SqliteStore(stopped)
    assert len(store.find(limit=500)) == 200
    store.close()


def close_cleanly(directory):
    """Write the log into the database, and remove it, as the close of another program does."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM meta').connection.close()"
    subprocess.run([sys.executable, "-c", code, str(database(directory))], check=True)
    assert not log(directory).exists()
    store = SqliteStore(directory, sync=False)
    store.find(limit=1)
    store.close()
    subprocess.run([sys.executable, "-c", code, str(database(directory))], check=True)
    assert not log(directory).exists()


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_an_older_database_is_noticed(stopped, tmp_path, clean, in_place):
    """With or without a newer log beside it, which SQLite would apply to it."""
    close_cleanly(stopped)
    shutil.copy(database(stopped), tmp_path / "copy")
    fill(stopped, 300)
    close_cleanly(stopped)
    fill(stopped, 3)
    if clean:
        close_cleanly(stopped)
    if in_place:
        shutil.copy(tmp_path / "copy", database(stopped))
    else:
        (tmp_path / "copy").replace(database(stopped))
    assert_refused(stopped)


def test_the_database_of_another_store_is_noticed(stopped, tmp_path):
    other = str(tmp_path / "other")
    fill(other, 300)
    close_cleanly(other)
    close_cleanly(stopped)
    shutil.copy(database(other), database(stopped))
    assert_refused(stopped)


def test_a_database_of_something_else_is_noticed(stopped):
    close_cleanly(stopped)
    database(stopped).unlink()
    sqlite3.connect(database(stopped)).execute("CREATE TABLE x (y)").connection.close()
    assert_refused(stopped)


def test_a_copy_of_the_whole_directory_is_a_store(stopped, tmp_path):
    copy = str(tmp_path / "copy")
    shutil.copytree(stopped, copy)
    store = SqliteStore(copy)
    assert len(store.find(limit=500)) == 200
    store.close()


def test_a_newer_version_is_refused(stopped):
    close_cleanly(stopped)
    with sqlite3.connect(database(stopped)) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    assert_refused(stopped, "newer heliograph")


def test_an_older_version_is_migrated(stopped, monkeypatch):
    close_cleanly(stopped)
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, "ALTER TABLE task ADD COLUMN extra TEXT"])
    monkeypatch.setattr("heliograph.store.verifying.MIGRATIONS", schema.MIGRATIONS)
    store = SqliteStore(stopped)
    store.enqueue([TASK], NOW)
    assert store.database.read("SELECT count(*), max(extra) FROM task") == [(201, None)]
    assert store.database.read("PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    store.close()


def test_a_migration_that_fails_changes_nothing(stopped, monkeypatch):
    close_cleanly(stopped)
    bad = [*schema.MIGRATIONS, "ALTER TABLE task ADD COLUMN extra TEXT;\nALTER TABLE nothing ADD COLUMN extra TEXT"]
    monkeypatch.setattr(schema, "MIGRATIONS", bad)
    monkeypatch.setattr("heliograph.store.verifying.MIGRATIONS", bad)
    with pytest.raises(StoreError):
        SqliteStore(stopped).find()
    monkeypatch.undo()
    store = SqliteStore(stopped)
    assert len(store.find(limit=500)) == 200
    store.close()


def test_a_store_whose_making_was_interrupted_is_made_again(directory):
    code = LEAVE_UNCLEAN.replace(
        "store = ", "import heliograph.store.opening as o; o.migrate = lambda c: os._exit(0); store = "
    )
    subprocess.run([sys.executable, "-c", code, directory, "1"], check=True)
    assert database(directory).exists()
    store = SqliteStore(directory)
    store.enqueue([TASK], NOW)
    assert len(store.find()) == 1
    store.close()


# While the store is in use.


def test_a_database_that_was_removed_in_use_is_noticed(opened, directory):
    database(directory).unlink()
    assert_lost(opened)


def test_a_directory_that_was_removed_in_use_is_noticed(opened, directory):
    """No process that has used the store makes another one in its place."""
    shutil.rmtree(directory)
    for call in (lambda: opened.enqueue([TASK], NOW), lambda: opened.own(NOW), opened.find):
        with pytest.raises(StoreError, match="its directory was removed"):
            call()
    assert not Path(directory).exists()
    fill(directory, 3)
    assert len(opened.find()) == 3


def test_a_database_that_was_replaced_in_use_is_noticed(opened, directory, tmp_path):
    other = str(tmp_path / "other")
    fill(other, 3)
    close_cleanly(other)
    database(other).replace(database(directory))
    before = database(directory).read_bytes()
    assert_lost(opened)
    opened.close()
    assert database(directory).read_bytes() == before


def test_a_database_that_was_overwritten_in_use_is_noticed(opened, directory, tmp_path):
    """By `cp backup tasks.db`: the file is the same one, and has other contents."""
    other = str(tmp_path / "other")
    fill(other, 300)
    close_cleanly(other)
    database(directory).write_bytes(database(other).read_bytes())
    assert_lost(opened)


def test_an_older_copy_over_a_database_in_use_is_noticed(opened, directory):
    opened.database.shrink_log()
    copy = database(directory).read_bytes()
    for _ in range(300):
        opened.enqueue([TASK], NOW)
    opened.database.shrink_log()
    opened.enqueue([TASK], NOW)
    database(directory).write_bytes(copy)
    assert_lost(opened)


def test_a_database_that_was_emptied_in_use_is_noticed(opened, directory):
    os.truncate(database(directory), 0)
    assert_lost(opened)


def test_a_log_that_was_removed_in_use_is_noticed(opened, directory):
    log(directory).unlink()
    with pytest.raises(StoreError, match="damaged"):
        opened.enqueue([TASK], NOW)


IN_ANOTHER_PROCESS = """
import sys
from heliograph._core.tasks.values import NewTask
from heliograph.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], sync=False)
for line in sys.stdin:
    print(store.enqueue([NewTask("shop:task", "mule")], 1_800_000_000_000_000)[0].id, flush=True)
"""


@pytest.fixture
def another(opened, directory):
    """Another process that uses the store. Each call enqueues a task there."""
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def enqueue():
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield enqueue
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def index(directory):
    return Path(directory, "tasks.db-shm")


def remove(path):
    path.unlink()


def replace(path):
    path.with_name("x").write_bytes(b"\xa5" * 32768)
    path.with_name("x").replace(path)


def replace_by_copy(path):
    shutil.copy(path, path.with_name("x"))
    path.with_name("x").replace(path)


def empty(path):
    os.truncate(path, 0)


def overwrite(path):
    path.write_bytes(b"\xa5" * 32768)


@pytest.mark.parametrize("spoil", [remove, replace, replace_by_copy, empty, overwrite])
@pytest.mark.parametrize("first", ["old", "new"])
def test_an_index_of_the_log_that_was_lost_in_use_loses_no_task(opened, directory, another, spoil, first):
    """Processes with two indexes would overwrite each other's commits."""
    ids = {row.id for row in opened.find()} | {another(), another()}
    spoil(index(directory))

    def enqueue_here():
        ids.add(opened.enqueue([TASK], NOW)[0].id)

    def enqueue_in_new_process():
        before = {row.id for row in opened.find()} if first == "old" else set()
        fill(directory, 2)
        ids.update({row.id for row in opened.find()} - before)

    steps = [enqueue_here, enqueue_in_new_process]
    for step in [*(steps if first == "old" else steps[::-1]), lambda: ids.add(another()), *steps]:
        step()
    assert len(ids) == 12
    assert {row.id for row in opened.find()} == ids
    assert opened.check() == []
    assert set(contents_of_new_process(directory)) == ids


def test_an_owner_goes_on_when_the_index_of_the_log_was_removed(opened, directory, caplog):
    owner = opened.own(NOW)
    request = ClaimRequest("mule", NOW, 16, {TASK.name: TaskLimits()}, "mule1 (1)")
    [first, *_] = owner.turn(request).claims
    index(directory).unlink()
    fill(directory, 2)
    assert owner.begin(first, NOW)
    owner.finish(first, Outcome(TaskStatus.SUCCESSFUL, b"1"), NOW)
    owner.turn(request)
    assert opened.get(first.id).status is TaskStatus.SUCCESSFUL
    owner.close(NOW)
    assert f"opened the store again: {index(directory)}" in caplog.text


def test_a_reader_finds_what_others_enqueue_with_another_index_of_the_log(opened, directory):
    index(directory).unlink()
    fill(directory, 2)
    assert len(opened.find()) == 5


def test_a_process_that_cannot_open_another_index_of_the_log_writes_nothing(opened, directory):
    """Another connection of the process keeps the old one open, and SQLite would use that again."""
    connection = opened.database.connect_to_read()
    index(directory).unlink()
    fill(directory, 2)
    assert_lost(opened)
    connection.close()
    assert len(contents_of_new_process(directory)) == 5


def test_a_log_that_was_emptied_in_use_is_noticed(opened, directory):
    os.truncate(log(directory), 0)
    with pytest.raises(StoreError, match="damaged: its write-ahead log was shortened"):
        opened.enqueue([TASK], NOW)


@pytest.mark.parametrize(("spoil", "reason"), [(remove, "removed"), (empty, "shortened")])
def test_a_process_that_opens_a_store_in_use_without_its_log_names_the_log(opened, directory, spoil, reason):
    spoil(log(directory))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        contents_of_new_process(directory)
    assert f"damaged: its write-ahead log was {reason}" in caught.value.stderr
    assert f"damaged: its write-ahead log was {reason}" in opened.check()[0]


def test_an_emptied_log_whose_commits_are_in_the_database_is_no_damage(opened, directory):
    """As after `wal_checkpoint(TRUNCATE)` of another program."""
    with contextlib.closing(sqlite3.connect(database(directory))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert log(directory).stat().st_size == 0
    opened.enqueue([TASK], NOW)
    assert len(contents_of_new_process(directory)) == 4


def contents_of_new_process(directory):
    """The ids of the tasks that a new process finds."""
    command = [sys.executable, "-c", COUNT, directory]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


COUNT = """
import sys
from heliograph.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], sync=False)
print(*(row.id for row in store.find()))
store.close()
"""


def assert_lost(store):
    many = [TASK] * 3
    for call in (lambda: store.enqueue([TASK], NOW), lambda: store.enqueue(many, NOW), lambda: store.own(NOW)):
        with pytest.raises(StoreError, match="damaged"):
            call()


def test_a_file_that_was_only_touched_is_no_damage(opened, directory):
    os.utime(database(directory))
    opened.enqueue([TASK], NOW)
    assert len(opened.find()) == 4


def test_an_owner_of_a_lost_store_raises(opened, directory):
    owner = opened.own(NOW)
    database(directory).unlink()
    with pytest.raises(StoreError):
        owner.close(NOW)
    with pytest.raises(StoreError):
        opened.get(opened.database.ids.make(1))


USE_SPOILT_IDENTITY = """
import os, sys
from heliograph._core.tasks.values import ClaimRequest, NewTask, Outcome, TaskLimits, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.store.sqlite import SqliteStore
now = 1_800_000_000_000_000
store = SqliteStore(sys.argv[1], sync=False)
store.enqueue([NewTask("shop:task", "mule")], now)
owner = store.own(now)
request = ClaimRequest("mule", now, 16, {"shop:task": TaskLimits()}, "w")
[claim, *_] = owner.turn(request).claims
owner.begin(claim, now)
path = sys.argv[1] + "/identity"
if sys.argv[2] == "remove":
    os.unlink(path)
elif sys.argv[2] == "empty":
    os.truncate(path, 0)
else:
    open(path + "x", "wb").write(open(path, "rb").read())
    os.rename(path + "x", path)
owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b"1"), now)
for call in (lambda: store.enqueue([NewTask("shop:task", "mule")], now), lambda: owner.turn(request)):
    try:
        call()
    except StoreError as error:
        print(error)
os._exit(0)
"""


@pytest.mark.parametrize("how", ["empty", "remove", "replace"])
def test_an_identity_that_was_lost_in_use_is_noticed_and_ends_no_process(directory, how):
    """The kernel ends a process by SIGBUS that reads a mapped file which was shortened."""
    command = [sys.executable, "-c", USE_SPOILT_IDENTITY, directory, how]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("damaged: its file" in line for line in lines)


# Backups.


def test_a_backup_can_be_restored(opened, directory, tmp_path):
    steps = []
    backup = str(tmp_path / "backup.db")
    opened.backup(backup, lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1] > 0
    later = opened.enqueue([TASK], NOW)[0].id
    ids = {row.id for row in opened.find()}
    opened.close()
    assert restore(directory, backup) == 3
    again = SqliteStore(directory)
    assert {row.id for row in again.find()} == ids - {later}
    new = again.enqueue([TASK], NOW)[0].id
    assert new not in ids
    assert again.get(later) is None
    assert again.check() == []
    again.close()
    assert Path(directory, "tasks.db.old").exists()


def test_a_backup_does_not_overwrite_a_file(opened, tmp_path):
    existing = tmp_path / "file"
    existing.write_text("precious")
    with pytest.raises(StoreError, match="exists"):
        opened.backup(str(existing))
    assert existing.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_backup_into_a_directory_that_is_missing_says_so(opened, tmp_path):
    with pytest.raises(StoreError, match="cannot write the backup"):
        opened.backup(str(tmp_path / "no" / "backup"))


def test_what_is_left_can_be_accepted(stopped):
    log(stopped).unlink()
    assert_refused(stopped)
    close_count = restore(stopped, None)
    store = SqliteStore(stopped)
    assert len(store.find(limit=500)) == close_count
    old = {row.id for row in store.find(limit=500)}
    assert store.enqueue([TASK], NOW)[0].id not in old
    assert {row.status for row in store.find(statuses=[TaskStatus.READY], limit=1)} == {TaskStatus.READY}
    store.close()


def test_only_a_store_can_be_restored(opened, directory, tmp_path):
    opened.close()
    sqlite3.connect(tmp_path / "x").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(StoreError, match="no store of tasks"):
        restore(directory, str(tmp_path / "x"))
    with pytest.raises(StoreError):
        restore(directory, str(tmp_path / "missing"))
    assert len(SqliteStore(directory).find()) == 3


def spoil(path):
    """Overwrite the middle of a database, and keep its times."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(found.st_size // 8192 * 4096)
        file.write(b"\xa5" * 8192)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def back_up_many(opened, tmp_path):
    """Back a store of many tasks up, close it, and return the file."""
    for _ in range(300):
        opened.enqueue([TASK], NOW)
    backup = tmp_path / "backup.db"
    opened.backup(str(backup))
    opened.close()
    return backup


def test_a_damaged_backup_is_not_restored(opened, directory, tmp_path):
    backup = back_up_many(opened, tmp_path)
    spoil(backup)
    before = {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.is_file()}
    with pytest.raises(StoreError, match=r"cannot restore the tasks: .*backup\.db is damaged .*Use another backup"):
        restore(directory, str(backup))
    assert {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.is_file()} == before


def test_what_is_left_is_not_accepted_if_it_cannot_be_read(stopped):
    spoil(database(stopped))
    with pytest.raises(StoreError, match=r"cannot restore the tasks: .*tasks\.db is damaged"):
        restore(stopped, None)
    assert not Path(stopped, "tasks.db.old").exists()


def test_a_restored_store_is_checked_when_it_is_opened(opened, directory, tmp_path):
    """By the first process that claims tasks, too."""
    for _ in range(300):
        opened.enqueue([TASK], NOW)
    opened.backup(str(tmp_path / "backup.db"))
    opened.close()
    restore(directory, str(tmp_path / "backup.db"))
    spoil(database(directory))
    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(directory).own(NOW)


@pytest.mark.parametrize("use_backup", [False, True])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda directory: overwrite_owners(directory, b"something else.."), "its file 'owners' was overwritten"),
        (lambda directory: Path(directory, "identity").unlink(), "its file 'identity' was removed"),
        (lambda directory: empty(Path(directory, "identity")), "its file 'identity' was emptied or overwritten"),
        (lambda directory: Path(directory, "identity").write_bytes(b"x" * 4096), "'identity' was emptied or overwr"),
    ],
)
def test_the_commands_that_an_error_names_mend_the_store(opened, directory, tmp_path, spoil, reason, use_backup):
    backup = str(tmp_path / "backup.db")
    opened.backup(backup)
    ids = {row.id for row in opened.find()}
    opened.close()
    spoil(directory)
    with pytest.raises(StoreError, match=f"damaged: .*{reason}.*restore FILE`, .*restore --as-it-is`, or move"):
        SqliteStore(directory).find()
    assert restore(directory, backup if use_backup else None) == 3
    assert {row.id for row in SqliteStore(directory).find()} == ids


@pytest.mark.parametrize("spoil", [remove, empty])
def test_a_store_without_a_database_cannot_be_accepted_but_replaced(opened, directory, tmp_path, spoil):
    backup = str(tmp_path / "backup.db")
    opened.backup(backup)
    opened.close()
    spoil(database(directory))
    with pytest.raises(StoreError, match=r"damaged: .* restore FILE` or move the directory away\.$"):
        SqliteStore(directory).find()
    with pytest.raises(StoreError, match=r"cannot accept the tasks as they are: .*Restore a backup with .*FILE`, or"):
        restore(directory, None)
    assert restore(directory, backup) == 3
    assert len(SqliteStore(directory).find()) == 3


def test_a_database_of_something_else_cannot_be_accepted(opened, directory):
    opened.close()
    database(directory).write_bytes(b"x" * 8192)
    with pytest.raises(StoreError, match=r"as they are: .* \(tasks\.db is no store of tasks\)\. Restore a backup with"):
        restore(directory, None)


def test_a_shortened_backup_is_named(opened, directory, tmp_path):
    backup = back_up_many(opened, tmp_path)
    os.truncate(backup, 20_000)
    with pytest.raises(StoreError, match=r"cannot restore the tasks: .*backup\.db is damaged .*Use another backup"):
        restore(directory, str(backup))
    assert len(SqliteStore(directory).find(limit=500)) == 303


def test_each_restoring_keeps_the_files_from_before(opened, directory, tmp_path):
    backup = str(tmp_path / "backup.db")
    opened.backup(backup)
    opened.close()
    suffixes = [".old", ".old2", ".old3"]
    for suffix in suffixes:
        assert free_suffix(directory) == suffix
        restore(directory, backup)
    for suffix in suffixes:
        assert Path(directory, f"tasks.db{suffix}").exists()
        assert Path(directory, f"identity{suffix}").exists()


# The file of owners.


def test_the_layout_of_the_owners_has_a_version(opened, directory):
    opened.own(NOW)
    assert Path(directory, "owners").read_bytes()[:16] == b"HGOWNERS" + (2).to_bytes(8, "little")


def overwrite_owners(directory, header):
    with Path(directory, "owners").open("r+b") as file:
        file.write(header)


def test_another_layout_of_the_owners_is_refused(stopped):
    """Nothing changes. Without the file, tasks that were running run again."""
    owners = Path(stopped, "owners")
    overwrite_owners(stopped, b"HGOWNERS" + (3).to_bytes(8, "little"))
    before = owners.read_bytes()
    reason = r"\(layout version 3, this one knows 2\)"
    with pytest.raises(StoreError, match=f"of another heliograph: .*owners {reason}. Install that version, or remove"):
        SqliteStore(stopped).find()
    assert owners.read_bytes() == before
    owners.unlink()
    store = SqliteStore(stopped)
    assert len(store.find(limit=500)) == 200
    store.close()


def test_owners_of_an_older_layout_are_renewed_while_no_task_runs(stopped):
    """An upgrade in place needs no hand on the files."""
    os.truncate(Path(stopped, "owners"), 512 * 9 * 4096)
    overwrite_owners(stopped, b"HGOWNERS" + (1).to_bytes(8, "little"))
    store = SqliteStore(stopped)
    store.own(NOW)
    assert len(store.find(limit=500)) == 200
    store.close()
    assert Path(stopped, "owners").read_bytes()[:16] == b"HGOWNERS" + (2).to_bytes(8, "little")


def test_owners_of_an_older_layout_are_refused_while_a_task_has_not_ended(stopped):
    """What a killed process has written there counts: whether its task had begun, and its result."""
    with contextlib.closing(sqlite3.connect(Path(stopped, "tasks.db"))) as connection:
        connection.execute("UPDATE task SET state = 2, owner = 3 WHERE number = (SELECT min(number) FROM task)")
        connection.commit()
    overwrite_owners(stopped, b"HGOWNERS" + (1).to_bytes(8, "little"))
    before = Path(stopped, "owners").read_bytes()
    with pytest.raises(StoreError, match=r"layout version 1, this one knows 2"):
        SqliteStore(stopped).find()
    assert Path(stopped, "owners").read_bytes() == before


@pytest.mark.parametrize("end", ["close", "turn"])
def test_a_task_whose_owner_has_lost_its_page_runs_again(opened, directory, end):
    """Somebody has emptied the file, and another process that opened the store has made it long again."""
    owner = opened.own(NOW)
    request = ClaimRequest("mule", NOW, 1, {TASK.name: TaskLimits()}, "mule1 (1)")
    [claim] = owner.turn(request).claims
    assert owner.begin(claim, NOW)
    owners = Path(directory, "owners")
    size = owners.stat().st_size
    os.truncate(owners, 0)
    os.truncate(owners, size)
    owner.finish(claim, Outcome(TaskStatus.SUCCESSFUL, b"1"), NOW)
    if end == "turn":
        [again] = owner.turn(request).claims
        assert again.id == claim.id
    owner.close(NOW)
    assert {row.status for row in opened.find()} == {TaskStatus.READY}


def test_owners_without_a_version_get_one(stopped):
    """The layout was that of version 1 before it had a version."""
    with Path(stopped, "owners").open("r+b") as file:
        file.write(bytes(16))
    store = SqliteStore(stopped)
    store.own(NOW)
    assert Path(stopped, "owners").read_bytes()[:8] == b"HGOWNERS"
    store.close()
