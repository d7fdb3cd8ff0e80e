"""The checks of `python -m chaos --tasks` find what they are for."""

import fcntl
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph._core.tasks.values import TaskStatus

ROOT = Path(__file__).parents[2]
GOOD = """
stored 0 10 1 t1 0 0.10.1
begin 0 20 2 t1 1 0.10.1
end 0 20 3 t1 1 0.10.1
"""


@pytest.fixture
def chaos(monkeypatch):
    """The module with the checks."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("chaos.tasks.checks")


@pytest.fixture
def check(chaos, monkeypatch, tmp_path):
    """Check a journal: a text. `kills` are (process id, time); 0 is the master."""
    monkeypatch.syspath_prepend(ROOT)
    faults, journal = map(importlib.import_module, ("chaos.tasks.faults", "chaos.tasks.journal"))

    def check(text, kills=(), **statuses):
        (tmp_path / "journal").write_text(text.lstrip())
        lines = list(journal.JournalReader(tmp_path).new_lines())
        progress = faults.TaskProgress(lines, [faults.Kill(0, pid, time, "mule1") for pid, time in kills])
        known = {line.task_id: TaskStatus.SUCCESSFUL for line in lines if line.what == "stored"}
        return chaos.check(progress, {**known, **{name: TaskStatus(status) for name, status in statuses.items()}})

    return check


def test_a_task_that_ran_once_is_right(check):
    """Nothing is wrong with it."""
    found = check(GOOD)
    assert (found.stored, found.tasks_run, found.again, found.unsure) == (1, 1, 0, 0)
    assert (found.lost, found.unexplained, found.refused_ran, found.strangers) == ([], [], [], [])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(GOOD, "READY", id="waits for ever"),
        pytest.param(GOOD, "DEAD", id="dead without three runs"),
        pytest.param("stored 0 10 1 t1 0 0.10.1\n", "SUCCESSFUL", id="did not run"),
        pytest.param(GOOD.replace("end", "raised"), "SUCCESSFUL", id="did not end"),
    ],
)
def test_a_task_without_an_end_is_lost(check, text, status):
    """The journal and the store have to agree that it ended."""
    assert [text[:2] for text in check(text, t1=status).lost] == ["t1"]


def test_a_task_that_only_the_store_knows_must_end_too(check):
    """The process that enqueued it was killed before it could note that."""
    assert len(check(GOOD, t2="READY").lost) == 1


AGAIN = """
stored 0 10 1 t1 0 0.10.1
begin 0 20 2 t1 1 0.10.1
begin 0 21 9 t1 2 0.10.1
end 0 21 10 t1 2 0.10.1
"""
AGAIN_AFTER_END = AGAIN.replace("begin 0 21", "end 0 20 3 t1 1 0.10.1\nbegin 0 21")
OTHER = "stored 0 10 1 t2 0 0.10.2\nbegin 0 20 4 t2 1 0.10.2\nend 0 20 5 t2 1 0.10.2\n"


@pytest.mark.parametrize("text", [AGAIN, AGAIN_AFTER_END])
@pytest.mark.parametrize("kill", [(20, 5), (0, 5)], ids=["process", "master"])
def test_a_kill_explains_a_second_run(check, text, kill):
    """The process of the first run was killed while it ran, or at the end of it."""
    found = check(text, [kill])
    assert (found.again, found.again_ended, found.unexplained) == (1, int(text is AGAIN_AFTER_END), [])


@pytest.mark.parametrize(
    ("text", "kills", "reason"),
    [
        pytest.param(AGAIN, [], "was not killed", id="no kill"),
        pytest.param(AGAIN, [(21, 5)], "was not killed", id="another process"),
        pytest.param(AGAIN, [(20, 1)], "was not killed", id="a kill before the run"),
        pytest.param(AGAIN_AFTER_END + OTHER, [(20, 6)], "ran t2 after it", id="the process went on"),
    ],
)
def test_a_second_run_without_a_kill_is_found(check, text, kills, reason):
    """The kill has to be one of the process of the first run, while that ran."""
    (text,) = check(text, kills).unexplained
    assert reason in text


def test_an_exception_explains_a_second_run(check):
    """It is not one that a kill has to explain."""
    text = AGAIN.replace("begin 0 21", "raised 0 20 3 t1 1 0.10.1\nbegin 0 21")
    found = check(text)
    assert (found.again, found.unexplained, found.lost) == (0, [], [])


def test_a_refused_task_that_ran_is_found(check):
    """`enqueue()` has raised an exception, so the task is not stored."""
    assert len(check(GOOD.replace("stored 0 10 1 t1", "refused 0 10 1 -")).refused_ran) == 1


def test_only_a_process_that_ended_may_leave_out_that_it_has_enqueued(check):
    """A task is found if the process with its key goes on without a note."""
    text = GOOD.replace("stored 0 10 1 t1 0 0.10.1\n", "")
    found = check(text, t1="SUCCESSFUL")
    assert (found.unsure, found.strangers) == (1, [])
    assert len(check(text + "locks 0 10 5000000003 runs 0 all\n", t1="SUCCESSFUL").strangers) == 1


def test_a_process_without_its_locks_is_found(chaos):
    """It has written their names to the journal."""
    journal = importlib.import_module("chaos.tasks.journal")
    lines = [
        journal.Line("locks", 0, 10, 1, "enqueues", 0, "all"),
        journal.Line("locks", 0, 11, 1, "enqueues", 0, "tasks.db"),
    ]
    looked, lacking = chaos.unlocked(lines)
    assert (looked, len(lacking)) == ({"enqueues": 2}, 1)
    assert "process 11" in lacking[0]


def test_a_lock_that_a_process_has_lost_is_missing(chaos, tmp_path, monkeypatch):
    """It closes another descriptor of the file. A kernel that lists no locks is known before."""
    locks = importlib.import_module("chaos.tasks.locks")
    if not locks.are_shown(tmp_path):
        pytest.skip("/proc/locks does not list the locks of this process")
    with (tmp_path / "store").open("wb") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert locks.missing_locks(tmp_path, ("store",)) == []
        (tmp_path / "store").open("rb").close()
        assert locks.missing_locks(tmp_path, ("store",)) == ["store"]
    monkeypatch.setattr(locks, "_locked_inodes", lambda _pid: set())
    assert locks.are_shown(tmp_path) is False


def test_a_process_that_cannot_count_ends_while_the_disk_of_its_log_is_full(tmp_path):
    """Its handlers would fail otherwise, and their signals look lost."""
    program = "from chaos.history import open_counts\n"
    program += f"try:\n    open_counts(Path({str(tmp_path)!r}), 'mule1', 1, 2)\nexcept OSError:\n    sys.exit(5)\n"
    limit = "import resource, sys\nfrom pathlib import Path\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run([sys.executable, "-c", limit + program], stderr=log, cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 1
