"""The watch says when to look. What has changed follows from the files."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from heliograph.reloading import watcher
from heliograph.reloading.watcher import changes

NOTHING = frozenset()
CHANGE = frozenset({("modified", "x")})


class Script:
    """A watch whose reports, and what happens before each, a test has written down."""

    def __init__(self, *turns):
        self.turns = list(turns)
        self.calls = []

    def __call__(self, *directories, **options):
        self.calls.append((directories, options))
        while self.turns:
            happens, report = self.turns.pop(0)
            if isinstance(report, type):
                happens()
                raise report
            happens()
            yield report
        raise EOFError  # the test is over


def run(script, *roots):
    """Return the names of all series of changes."""
    found = []
    with contextlib.suppress(EOFError):
        found.extend(
            [Path(path).name for path in changed] for changed in changes(script, roots, ("*.py",), lambda: 2e10)
        )
    assert found.pop(0) == []
    return found


def nothing():
    pass


@pytest.fixture
def write(tmp_path):
    """Return a function that returns a function that writes a file."""
    written = []

    def write(name):
        def work():
            written.append(name)
            (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / name).write_text("x" * len(written))

        return work

    return write


def test_a_series_of_changes_is_one(tmp_path, write):
    """The watch reports it when it is over."""

    def both():
        write("a.py")()
        write("b.py")()

    assert [sorted(names) for names in run(Script((nothing, NOTHING), (both, CHANGE)), tmp_path)] == [["a.py", "b.py"]]


def test_a_report_without_a_change_of_a_file_that_counts_is_nothing(tmp_path, write):
    """For example about a directory of bytecode."""
    assert run(Script((write("a.txt"), CHANGE), (nothing, CHANGE)), tmp_path) == []


def test_a_change_before_the_watch_has_begun_is_found(tmp_path, write):
    """At its first report, which says nothing. After that, nothing is looked at without a report."""
    script = Script((write("a.py"), NOTHING), (write("b.py"), NOTHING), (nothing, CHANGE))
    assert run(script, tmp_path) == [["a.py"], ["b.py"]]


def test_the_first_report_counts_whatever_it_is_about(tmp_path):
    """A log that grows all the time must not keep the watcher from its first look."""
    script = Script((nothing, NOTHING))
    script.turns[0] = (lambda: counted.append(script.calls[0][1]["watch_filter"](1, "/x/shop.log")), NOTHING)
    counted = []
    run(script, tmp_path)
    assert counted == [True]


def test_a_new_directory_is_watched_from_then_on(tmp_path, write):
    """The watch begins anew, and what changed in between is found."""
    script = Script((nothing, NOTHING), (write("new/a.py"), CHANGE), (write("new/b.py"), NOTHING), (nothing, CHANGE))
    assert run(script, tmp_path) == [["a.py"], ["b.py"]]
    assert [call[0] for call in script.calls] == [(str(tmp_path),), (str(tmp_path), str(tmp_path / "new"))]


def test_a_directory_that_vanishes_before_it_is_watched(tmp_path, write):
    """The watch begins anew without it."""
    write("old/a.py")()

    def remove():
        (tmp_path / "old" / "a.py").unlink()
        (tmp_path / "old").rmdir()

    script = Script((remove, FileNotFoundError), (nothing, NOTHING))
    assert run(script, tmp_path) == [["a.py"]]
    assert [call[0] for call in script.calls][1] == (str(tmp_path),)


def test_only_files_that_count_and_directories_wake_the_watcher(tmp_path, write):
    """A log next to the code grows all the time."""
    write("sub/a.py")()
    script = Script((nothing, NOTHING))
    run(script, tmp_path)
    counts = script.calls[0][1]["watch_filter"]
    assert counts(1, str(tmp_path / "gone.py"))
    assert counts(1, str(tmp_path / "sub"))
    assert not counts(1, str(tmp_path / "shop.log"))


def test_git_changes_the_whole_tree_first(tmp_path, write, monkeypatch):
    """While it has its lock, its command is not over."""
    monkeypatch.setattr(watcher, "STEP", 0.001)
    lock = tmp_path / ".git" / "index.lock"
    lock.parent.mkdir()

    def begin():
        lock.touch()
        write("a.py")()

        def end():
            write("b.py")()
            lock.unlink()

        threading.Timer(0.2, end).start()

    (tmp_path / "shop").mkdir()
    script = Script((nothing, NOTHING), (begin, CHANGE))
    found = run(script, tmp_path)
    assert [sorted(names) for names in found] == [["a.py", "b.py"]]


def test_a_lock_of_git_that_is_left_over_does_not_stop_reloads(tmp_path, write, monkeypatch):
    """A killed command leaves it."""
    monkeypatch.setattr(watcher, "GIT_TIMEOUT", 0.05)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index.lock").touch()
    assert run(Script((write("a.py"), CHANGE)), tmp_path) == [["a.py"]]


def test_what_has_changed_since_the_code_was_loaded_is_found_first(tmp_path):
    """The process that watches starts after the load, or anew after its death."""
    for name, at in (("old.py", 100), ("new.py", 200), ("newer.py", 300)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    found = changes(Script(), [tmp_path], ("*.py",), lambda: 150.0)
    assert [Path(path).name for path in next(found)] == ["newer.py", "new.py"]
