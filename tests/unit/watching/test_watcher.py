"""Files that are watched by their path. The tests use real files and wait on the descriptor."""

import errno
import os
import select
import shutil
import tempfile
import time
from pathlib import Path

import inotify_simple
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.exceptions import ScheduleError
from heliograph.watching import Watcher
from heliograph.watching.watcher import RETRY_AFTER_CHANGE, RETRY_INTERVAL, STEPS_PER_CALL

DEADLINE = 5.0
"""Seconds after which a change is taken for lost."""

NOBODY = 65_534
"""A user who owns nothing."""

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Watch:
    """A watcher, and the changes that it reported."""

    def __init__(self):
        self.watcher = Watcher()

    def wait(self, *keys):
        """Wait until exactly these keys were reported."""
        watch = set()
        deadline = time.monotonic() + DEADLINE
        while not watch >= set(keys):
            left = deadline - time.monotonic()
            assert select.select([self.watcher], [], [], max(0.0, left))[0], f"{set(keys) - watch} not reported"
            batch = self.watcher.changed()
            assert len(batch) == len(set(batch))
            watch.update(batch)
        watch.update(self.rest())
        assert watch == set(keys)

    def rest(self):
        """Return the remaining changes. The kernel queues a change before the call that made it returns."""
        watch = set()
        while select.select([self.watcher], [], [], 0)[0]:
            watch.update(self.watcher.changed())
        return watch

    def quiet(self):
        assert self.rest() == set()
        assert self.watcher.changed() == []


@pytest.fixture
def watch():
    watch = Watch()
    yield watch
    watch.watcher.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "site" / "conf.d" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    return path


def replace(path, text="new"):
    """Replace a file atomically: write a new one and rename it."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


# one file


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("new"),
        lambda path: path.open("a").close(),
        lambda path: os.truncate(path, 0),
        os.utime,
        lambda path: path.chmod(0o600),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("elsewhere")),
        replace,
    ],
    ids=["written", "closed", "cut", "touched", "rights", "removed", "moved", "replaced"],
)
def test_change_of_a_file_is_reported(watch, file, change):
    """Once for several events, and nothing after it."""
    watch.watcher.watch(str(file), key="file")
    watch.quiet()
    change(file)
    watch.wait("file")
    watch.quiet()


def test_opening_and_reading_is_not_a_change(watch, file):
    """Neither are changes of other files."""
    watch.watcher.watch(str(file), key="file")
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
    file.stat()
    file.with_name("other").write_text("x")
    file.with_name("other").unlink()
    watch.quiet()


def test_replaced_file_stays_watched(watch, file):
    """Again and again. uWSGI does not report the second replacement."""
    watch.watcher.watch(str(file), key="file")
    for _ in range(3):
        replace(file)
        watch.wait("file")
        file.write_text("in place")
        watch.wait("file")


def test_removed_file_stays_watched(watch, file):
    """It may be created again, by writing or by renaming."""
    watch.watcher.watch(str(file), key="file")
    for make in (lambda: file.write_text("new"), lambda: replace(file), file.mkdir):
        file.unlink()
        watch.wait("file")
        make()
        watch.wait("file")
    (file / "entry").write_text("a directory now")
    watch.wait("file")


def test_writes_to_a_replaced_inode_do_not_count(watch, file):
    """A program may still have it open."""
    with file.open("a") as old:
        watch.watcher.watch(str(file), key="file")
        replace(file)
        watch.wait("file")
        old.write("late")
        old.flush()
        watch.quiet()
    watch.quiet()


def test_write_through_a_hard_link_is_reported(watch, file):
    """The content of the file changes."""
    other = file.parents[2] / "other"
    other.hardlink_to(file)
    watch.watcher.watch(str(file), key="file")
    other.write_text("new")
    watch.wait("file")


def test_file_created_and_removed_in_one_batch_is_reported(watch, file):
    """It is missing before and after, but it changed."""
    watch.watcher.watch(str(file), key="file")
    file.unlink()
    file.write_text("old")
    watch.wait("file")
    file.rename(file.with_name("away"))
    file.with_name("away").rename(file)
    watch.wait("file")


# the way to a file


def test_parent_directories_can_be_removed_and_created(watch, file, tmp_path):
    """The file in the new directory counts."""
    watch.watcher.watch(str(file), key="file")
    for _ in range(2):
        shutil.rmtree(tmp_path / "site")
        watch.wait("file")
        file.parent.mkdir(parents=True)
        watch.quiet()
        file.write_text("new")
        watch.wait("file")


def test_removal_with_a_read_after_each_step(watch, file, tmp_path):
    """The watcher does not depend on batches."""
    watch.watcher.watch(str(file), key="file")
    file.unlink()
    watch.wait("file")
    for path in (file.parent, file.parents[1]):
        path.rmdir()
        watch.quiet()
    for path in (file.parents[1], file.parent):
        path.mkdir()
        watch.quiet()
    file.write_text("new")
    watch.wait("file")


def test_current_directory_of_a_process_is_removed(watch, file, tmp_path):
    """The kernel keeps the inode, but the path leads to the new directory."""
    held = os.open(file.parent, os.O_RDONLY)
    try:
        watch.watcher.watch(str(file), key="file")
        file.unlink()
        watch.wait("file")
        file.parent.rmdir()
        watch.quiet()
        file.parent.mkdir()
        file.write_text("new")
        watch.wait("file")
    finally:
        os.close(held)


def test_parent_moves_away_and_back(watch, file, tmp_path):
    """Moving away counts as a removal, another directory in its place as a replacement."""
    watch.watcher.watch(str(file), key="file")
    site, away = tmp_path / "site", tmp_path / "away"
    site.rename(away)
    watch.wait("file")
    (away / "conf.d" / "file").write_text("not at the path")
    watch.quiet()
    away.rename(site)
    watch.wait("file")
    file.write_text("new")
    watch.wait("file")


def test_missing_parents_are_waited_for(watch, tmp_path):
    """With `missing_ok`. Creating only the directories is not a change."""
    file = tmp_path / "a" / "b" / "c"
    watch.watcher.watch(str(file), missing_ok=True, key="file")
    (tmp_path / "a").mkdir()
    watch.quiet()
    file.parent.mkdir()
    file.write_text("new")
    watch.wait("file")


def test_path_below_a_file_is_missing(watch, file):
    """Until the file becomes a directory."""
    watch.watcher.watch(str(file / "below"), missing_ok=True, key="below")
    file.write_text("new")
    watch.quiet()
    file.unlink()
    file.mkdir()
    (file / "below").write_text("new")
    watch.wait("below")


def test_relative_path_uses_the_current_directory(watch, file, monkeypatch):
    """Of the time of the call. Dots in the path are resolved."""
    monkeypatch.chdir(file.parents[1])
    watch.watcher.watch("./conf.d/../conf.d//file", key="file")
    monkeypatch.chdir("/")
    file.write_text("new")
    watch.wait("file")


# links


def test_target_of_a_link_is_watched(watch, file, tmp_path):
    """Through two links, relative and absolute: a write, a replacement and a removal."""
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(file)
    watch.watcher.watch(str(tmp_path / "first"), key="link")
    file.write_text("new")
    watch.wait("link")
    replace(file)
    watch.wait("link")
    file.unlink()
    watch.wait("link")
    file.write_text("new")
    watch.wait("link")


def test_changed_link_is_reported(watch, file, tmp_path):
    """From then on the new target counts, not the old one."""
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(file)
    other.write_text("other")
    watch.watcher.watch(str(link), key="link")
    (tmp_path / "new").symlink_to("other")
    (tmp_path / "new").replace(link)
    watch.wait("link")
    file.write_text("new")
    watch.quiet()
    other.write_text("new")
    watch.wait("link")


def test_kubernetes_config_map(watch, tmp_path):
    """Kubernetes replaces the link `..data` in the middle of the path. File and directory are reported."""
    volume = tmp_path / "config"
    (volume / "..1").mkdir(parents=True)
    (volume / "..1" / "app.ini").write_text("1")
    (volume / "..data").symlink_to("..1")
    (volume / "app.ini").symlink_to("..data/app.ini")
    watch.watcher.watch(str(volume / "app.ini"), key="file")
    watch.watcher.watch(str(volume), key="volume")
    for version in (2, 3, 4):
        made = volume / f"..{version}"
        made.mkdir()
        (made / "app.ini").write_text(str(version))
        watch.wait("volume")
        (volume / "..data_tmp").symlink_to(made.name)
        (volume / "..data_tmp").replace(volume / "..data")
        watch.wait("file", "volume")
        shutil.rmtree(volume / f"..{version - 1}")
        watch.wait("volume")


def test_dangling_and_cyclic_links_are_missing_paths(watch, tmp_path):
    """With `missing_ok` they are waited for."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "three").symlink_to("missing")
    for name in ("one", "three"):
        with pytest.raises(ScheduleError, match=name):
            watch.watcher.watch(str(tmp_path / name), key=name)
        watch.watcher.watch(str(tmp_path / name), missing_ok=True, key=name)
    (tmp_path / "missing").write_text("new")
    watch.wait("three")
    (tmp_path / "two").unlink()
    watch.quiet()
    (tmp_path / "two").write_text("new")
    watch.wait("one")


# directories


def test_changes_of_directory_entries_are_reported(watch, file):
    """Created, written, touched, moved and removed entries, but not those of subdirectories."""
    below = file.parent / "sub"
    below.mkdir()
    watch.watcher.watch(str(file.parent), key="dir")
    changes = [
        lambda: file.with_name("new").write_text("new"),
        lambda: file.write_text("new"),
        lambda: os.utime(file),
        lambda: file.rename(file.with_name("moved")),
        lambda: file.with_name("moved").unlink(),
        (file.parent / "other").mkdir,
        lambda: os.utime(file.parent),
    ]
    for change in changes:
        change()
        watch.wait("dir")
    (below / "file").write_text("new")
    watch.quiet()


def test_writes_to_a_removed_entry_do_not_count(watch, file):
    """It is no longer an entry."""
    watch.watcher.watch(str(file.parent), key="dir")
    with file.open("a") as gone:
        file.unlink()
        watch.wait("dir")
        gone.write("late")
    watch.quiet()


def test_directory_can_be_removed_and_created(watch, file):
    """It is watched by its path as well."""
    watch.watcher.watch(str(file.parent), key="dir")
    shutil.rmtree(file.parent)
    watch.wait("dir")
    file.parent.mkdir()
    watch.wait("dir")
    file.write_text("new")
    watch.wait("dir")


def test_changes_in_a_tree_are_reported(watch, file, tmp_path):
    """In existing directories, in new ones, and in ones that move in with their contents."""
    watch.watcher.watch(str(tmp_path), recursive=True, key="tree")
    file.write_text("new")
    watch.wait("tree")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    watch.wait("tree")
    (deep / "file").write_text("new")
    watch.wait("tree")
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    watch.wait("tree")
    (tmp_path / "copy" / "b" / "c" / "file").write_text("newer")
    watch.wait("tree")


def test_directory_moves_within_into_and_out_of_a_tree(watch, tmp_path):
    """It counts while it is in the tree."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "a" / "sub").mkdir(parents=True)
    watch.watcher.watch(str(tree), recursive=True, key="tree")
    (tree / "a").rename(tree / "b")
    watch.wait("tree")
    (tree / "b" / "sub" / "new").mkdir()
    watch.wait("tree")
    (tree / "b" / "sub" / "new" / "file").write_text("new")
    watch.wait("tree")
    (tree / "b").rename(outside)
    watch.wait("tree")
    (outside / "sub" / "file").write_text("new")
    (outside / "sub" / "new" / "file").write_text("new")
    watch.quiet()
    outside.rename(tree / "c")
    watch.wait("tree")
    (tree / "c" / "sub" / "file").write_text("newer")
    watch.wait("tree")


def test_tree_can_be_removed_and_created(watch, tmp_path):
    """Its top is a path like any other. Links in it are not followed."""
    tree = tmp_path / "tree"
    watch.watcher.watch(str(tree), recursive=True, missing_ok=True, key="tree")
    for _ in range(2):
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "circle").symlink_to(tree)
        watch.wait("tree")
        (tree / "sub" / "file").write_text("new")
        watch.wait("tree")
        shutil.rmtree(tree)
        watch.wait("tree")


def test_tree_drops_watches_of_removed_directories(watch, tmp_path):
    """Watches do not accumulate."""
    watch.watcher.watch(str(tmp_path), recursive=True, key="tree")
    before = len(watched(watch.watcher))
    for _ in range(3):
        (tmp_path / "a" / "b").mkdir(parents=True)
        watch.wait("tree")
        assert len(watched(watch.watcher)) == before + 2
        shutil.rmtree(tmp_path / "a")
        watch.wait("tree")
    assert len(watched(watch.watcher)) == before
    (watch,) = watch.watcher._watches.values()
    assert len(watch.watches) == before
    assert list(watch.tree.values()) == [str(tmp_path)]


# several


def watched(watcher):
    """Return the inodes that the kernel watches."""
    lines = Path(f"/proc/self/fdinfo/{watcher.fileno()}").read_text().splitlines()
    return [line for line in lines if line.startswith("inotify ")]


def test_changes_in_one_batch_are_reported_together(watch, file):
    """Each path once. uWSGI sends one signal for all of them."""
    other = file.with_name("other")
    other.write_text("old")
    watch.watcher.watch(str(file), key="file")
    watch.watcher.watch(str(other), key="other")
    file.write_text("new")
    other.write_text("new")
    file.write_text("newer")
    assert select.select([watch.watcher], [], [], DEADLINE)[0]
    assert watch.watcher.changed() == ["file", "other"]
    watch.quiet()


def test_keys_can_share_a_path(watch, file):
    """Each key is reported, and removing one keeps the others. Also with a link, a parent and a tree."""
    watch.watcher.watch(str(file.parents[1]), recursive=True, key="tree")
    watch.watcher.watch(str(file.parent), key="dir")
    watch.watcher.watch(str(file), key=1)
    watch.watcher.watch(str(file), key=("two", 2))
    file.write_text("new")
    watch.wait(1, ("two", 2), "dir", "tree")
    watch.watcher.unwatch("dir")
    watch.watcher.unwatch(1)
    replace(file)
    watch.wait(("two", 2), "tree")
    watch.watcher.unwatch("tree")
    file.write_text("newer")
    watch.wait(("two", 2))


def test_unwatch_drops_unread_changes(watch, file):
    """It removes the watches of the kernel. An unknown key is no error."""
    assert watched(watch.watcher) == []
    watch.watcher.watch(str(file), key="file")
    watch.watcher.watch(str(file.parents[1]), recursive=True, key="tree")
    file.write_text("new")
    for key in ("file", "tree", "tree", "never"):
        watch.watcher.unwatch(key)
    watch.quiet()
    file.write_text("newer")
    assert select.select([watch.watcher], [], [], 0) == ([], [], [])
    assert watched(watch.watcher) == []


def test_key_can_watch_another_path(watch, file):
    """The new path replaces the old one."""
    other = file.with_name("other")
    other.write_text("old")
    watch.watcher.watch(str(file), key="key")
    watch.watcher.watch(str(other), key="key")
    file.write_text("new")
    watch.quiet()
    other.write_text("new")
    watch.wait("key")


def test_thousand_files(watch, tmp_path):
    """uWSGI watches 64. All are reported, also after their directory was replaced."""
    files = [tmp_path / "many" / str(number) for number in range(1000)]
    files[0].parent.mkdir()
    for path in files:
        path.write_text("old")
    for number, path in enumerate(files):
        watch.watcher.watch(str(path), key=number)
    files[617].write_text("new")
    watch.wait(617)
    for path in files:
        os.utime(path)
    watch.wait(*range(1000))
    shutil.copytree(tmp_path / "many", tmp_path / "copy")
    (tmp_path / "many").rename(tmp_path / "old")
    (tmp_path / "copy").rename(tmp_path / "many")
    watch.wait(*range(1000))
    files[617].write_text("new")
    watch.wait(617)


def test_ten_thousand_events_are_one_change(watch, file):
    """Of each path, in one batch."""
    other = file.with_name("other")
    other.write_text("old")
    watch.watcher.watch(str(file), key="file")
    watch.watcher.watch(str(other), key="other")
    for _ in range(5000):
        os.utime(file)
        os.utime(other)
    assert watch.watcher.changed() == ["file", "other"]
    watch.quiet()


@pytest.mark.skipif(int(QUEUE.read_text()) > 100_000, reason="the kernel's queue is too long to fill")
def test_queue_overflow_reports_everything(watch, file, tmp_path):
    """Every path may have changed, and is looked up again."""
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for name in "xy":
        (noisy / name).write_text("old")
    watch.watcher.watch(str(noisy), key="noisy")
    watch.watcher.watch(str(file), key="file")
    watch.watcher.watch(str(tmp_path / "missing"), missing_ok=True, key="missing")
    watch.watcher.watch(str(tmp_path / "never"), missing_ok=True, key="never")
    for _ in range(int(QUEUE.read_text()) // 2 + 1):
        os.utime(noisy / "x")
        os.utime(noisy / "y")
    replace(file)
    (tmp_path / "missing").write_text("new")
    watch.wait("noisy", "file", "missing", "never")
    for path, key in ((file, "file"), (tmp_path / "missing", "missing")):
        path.write_text("in place")
        watch.wait(key)


# permissions


@pytest.fixture
def own():
    """A directory of a user without permission to read everything."""
    top = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(top, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield top
    if root:
        os.seteuid(0)
    shutil.rmtree(top)


def test_unreadable_file(watch, own):
    """Its directory reports it. When it becomes readable, it is watched as any other."""
    file = own / "file"
    file.write_text("old")
    with file.open("a") as writer:
        file.chmod(0)
        watch.watcher.watch(str(file), key="file")
        writer.write("new")
    watch.wait("file")
    file.rename(own / "away")
    watch.wait("file")
    (own / "away").rename(file)
    watch.wait("file")
    file.chmod(0o600)
    watch.wait("file")
    (own / "link").hardlink_to(file)
    watch.wait("file")
    (own / "link").write_text("newer")
    watch.wait("file")


def test_directory_that_becomes_accessible_later(watch, own):
    """It is created without permissions, filled, and then opened."""
    watch.watcher.watch(str(own / "way" / "file"), missing_ok=True, key="file")
    (own / "way").mkdir()
    (own / "way").chmod(0)
    watch.quiet()
    (own / "way").chmod(0o700)
    watch.quiet()
    (own / "way" / "file").write_text("new")
    watch.wait("file")


def test_directory_without_read_permission_on_the_way(watch, own):
    """At least removals are reported, of a file and of a tree."""
    top = own / "way" / "top"
    top.mkdir(parents=True)
    (top / "file").write_text("old")
    (own / "way").chmod(0o300)
    watch.watcher.watch(str(top / "file"), key="file")
    watch.watcher.watch(str(top), recursive=True, key="tree")
    replace(top / "file")
    watch.wait("file", "tree")
    top.rename(own / "way" / "moved")
    watch.wait("file", "tree")
    (own / "way" / "moved" / "file").write_text("not at the path")
    watch.quiet()
    (own / "way").chmod(0o700)


def test_unreadable_directory_is_rejected(watch, own, caplog):
    """If a watched one becomes unreadable, that is reported and logged. It is watched again later."""
    top = own / "top"
    top.mkdir(mode=0)
    with pytest.raises(ScheduleError, match="no permission to read"):
        watch.watcher.watch(str(top), key="dir")
    assert watched(watch.watcher) == []
    top.chmod(0o700)
    watch.watcher.watch(str(top), key="dir")
    top.rmdir()
    watch.wait("dir")
    top.mkdir(mode=0)
    watch.wait("dir")
    assert "top only in part, trying again when it changes" in caplog.text
    top.chmod(0o700)
    watch.wait("dir")
    (top / "entry").write_text("new")
    watch.wait("dir")


def test_unreadable_directory_in_a_tree(watch, own):
    """The others are watched, and so is this one when it becomes readable."""
    closed, other = own / "closed", own / "other"
    closed.mkdir(mode=0)
    other.mkdir()
    watch.watcher.watch(str(own), recursive=True, key="tree")
    (other / "file").write_text("new")
    watch.wait("tree")
    closed.chmod(0o700)
    watch.wait("tree")
    (closed / "file").write_text("new")
    watch.wait("tree")


def test_unreadable_file_and_directory_are_rejected(watch, own):
    """Neither can be watched."""
    (own / "way").mkdir()
    (own / "way" / "file").write_text("old")
    (own / "way" / "file").chmod(0)
    (own / "way").chmod(0o300)
    with pytest.raises(ScheduleError, match="no permission to read"):
        watch.watcher.watch(str(own / "way" / "file"), key="file")
    assert watched(watch.watcher) == []
    (own / "way").chmod(0o700)


# errors


def test_missing_path_is_rejected(watch, tmp_path):
    """The message has the path and the solution. Nothing is watched."""
    path = str(tmp_path / "missing")
    with pytest.raises(ScheduleError, match=r"path to watch is missing: .*missing.*missing_ok=True") as caught:
        watch.watcher.watch(path, key="key")
    assert caught.value.value == path
    assert watched(watch.watcher) == []


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_invalid_path_is_rejected(watch, path):
    """Also with `missing_ok`."""
    with pytest.raises(ScheduleError, match="path of a file or directory") as caught:
        watch.watcher.watch(path, missing_ok=True, key="key")
    assert caught.value.value == path


def test_rejection_keeps_the_earlier_path(watch, file):
    """The earlier path of the key stays watched."""
    watch.watcher.watch(str(file), key="key")
    with pytest.raises(ScheduleError):
        watch.watcher.watch(str(file.with_name("missing")), key="key")
    file.write_text("new")
    watch.wait("key")


def test_relative_path_in_a_removed_directory_is_rejected(watch, tmp_path, monkeypatch):
    """There can never be a file."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ScheduleError, match=r"'file'.*is gone"):
        watch.watcher.watch("file", missing_ok=True, key="key")


def failing(monkeypatch, name, number, when=lambda *_: True):
    """Make a call of inotify fail."""
    call = getattr(inotify_simple.INotify, name)

    def fail(self, *args, **kwargs):
        if when(*args):
            raise OSError(number, os.strerror(number))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(inotify_simple.INotify, name, fail)


def test_limit_of_watches_is_an_error(watch, file, monkeypatch):
    """The message names the setting. The watches of the path are removed."""
    failing(monkeypatch, "add_watch", errno.ENOSPC, lambda path, _mask: path == str(file))
    with pytest.raises(ScheduleError, match=r"file.*fs\.inotify\.max_user_watches"):
        watch.watcher.watch(str(file), key="key")
    assert watched(watch.watcher) == []


def test_limit_of_watches_during_a_change(watch, file, monkeypatch, caplog):
    """The error is logged and the change reported. Other paths stay watched, and this one is again later."""
    other = file.with_name("other")
    other.write_text("old")
    watch.watcher.watch(str(file), key="file")
    watch.watcher.watch(str(other), key="other")
    with monkeypatch.context() as full:
        failing(full, "add_watch", errno.ENOSPC)
        replace(file)
        other.write_text("new")
        watch.wait("file", "other")
        assert "file only in part, trying again when it changes" in caplog.text
        assert "max_user_watches" in caplog.text
    replace(file)
    watch.wait("file")
    file.write_text("in place")
    watch.wait("file")
    with monkeypatch.context() as full:
        failing(full, "add_watch", errno.ENOSPC)
        for _ in range(2):
            replace(file)
            watch.wait("file")
    for key in ("file", "other"):
        watch.watcher.unwatch(key)
    assert watched(watch.watcher) == []


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSYS, "has no inotify"), (errno.EMFILE, r"fs\.inotify\.max_user_instances")]
)
def test_system_without_inotify(monkeypatch, number, message):
    """Or a user without free instances."""
    failing(monkeypatch, "__init__", number)
    with pytest.raises(ScheduleError, match=message):
        Watcher()


def test_close_closes_the_descriptor(file):
    """It may be called twice. Child processes do not inherit the descriptor."""
    before = set(Path("/proc/self/fd").iterdir())
    watcher = Watcher()
    watcher.watch(str(file), key="file")
    assert not os.get_inheritable(watcher.fileno())
    watcher.close()
    watcher.close()
    assert set(Path("/proc/self/fd").iterdir()) == before
    watcher.unwatch("file")


# any order

STEPS = {
    "write": lambda path: path.write_text("new"),
    "replace": replace,
    "touch": os.utime,
    "remove": lambda path: path.unlink(),
    "move": lambda path: path.rename(path.with_suffix(".away")),
    "parent": lambda path: (path.parent.rename(path.parent.with_suffix(".away")), path.parent.mkdir()),
    "relink": lambda path: (replace(path.with_name("real")), path.unlink(), path.symlink_to("real")),
}
NEEDS_ONE = ("touch", "remove", "move", "parent", "relink")

steps = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(sorted(STEPS))), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_each_change_in_any_order_is_reported(tmp_path_factory, steps):
    """Two files in their own directories: after each step only the changed file is reported."""
    top = tmp_path_factory.mktemp("any")
    files = [top / "0" / "file", top / "1" / "file"]
    watch = Watch()
    try:
        for number, path in enumerate(files):
            path.parent.mkdir()
            watch.watcher.watch(str(path), missing_ok=True, key=number)
        for number, step in steps:
            path = files[number]
            possible = path.exists() or step not in NEEDS_ONE
            shutil.rmtree(path.parent.with_suffix(".away"), ignore_errors=True)
            watch.rest()
            STEPS[step if possible else "write"](path)
            watch.wait(number)
    finally:
        watch.watcher.close()
        shutil.rmtree(top)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOMEM, errno.ENAMETOOLONG, errno.EACCES])
@pytest.mark.parametrize("grows", [False, True], ids=["at the start", "while growing"])
def test_directory_of_a_tree_that_cannot_be_watched(tmp_path, monkeypatch, caplog, number, grows):
    """One error names it, and the rest of the tree is watched. It is tried again, which counts as a change."""
    clock = [0.0]
    watch = Watch()
    watch.watcher.close()
    watch.watcher = Watcher(lambda: clock[0])
    for name in ("a", *(() if grows else ("bad",))):
        (tmp_path / name).mkdir()
    with monkeypatch.context() as full, caplog.at_level("INFO"):
        failing(full, "add_watch", number, lambda path, _mask: path.endswith("/bad"))
        watch.watcher.watch(str(tmp_path), recursive=True, key="tree")
        if grows:
            (tmp_path / "bad").mkdir()
            watch.wait("tree")
        (tmp_path / "a" / "file").write_text("seen")
        watch.wait("tree")
        clock[0] = RETRY_INTERVAL + 1
        assert watch.watcher.wait() == 0
        assert watch.watcher.changed() == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(tmp_path / "bad") in caplog.text
    clock[0] *= 2
    assert watch.watcher.changed() == ["tree"]
    assert watch.watcher.wait() == float("inf")
    (tmp_path / "bad" / "file").write_text("seen")
    watch.wait("tree")
    watch.watcher.close()


def test_failed_directory_is_tried_again_after_a_change(tmp_path, monkeypatch):
    """A change in the tree brings the next attempt forward."""
    clock = [0.0]
    watcher = Watcher(lambda: clock[0])
    (tmp_path / "bad").mkdir()
    with monkeypatch.context() as full:
        failing(full, "add_watch", errno.ENOSPC, lambda path, _mask: path.endswith("/bad"))
        watcher.watch(str(tmp_path), recursive=True, key="tree")
    assert watcher.wait() == RETRY_INTERVAL
    (tmp_path / "file").write_text("new")
    assert watcher.changed() == ["tree"]
    assert watcher.wait() == RETRY_AFTER_CHANGE
    watcher.close()


def test_large_tree_is_walked_in_steps(tmp_path, monkeypatch):
    """A call looks at a bounded number of directories, also after a rename at the top. In the end all are watched."""
    calls = []
    top = tmp_path / "top"
    for number in range(3 * STEPS_PER_CALL):
        (top / f"{number}").mkdir(parents=True)
    add_watch = inotify_simple.INotify.add_watch
    monkeypatch.setattr(inotify_simple.INotify, "add_watch", lambda *args: calls.append(1) or add_watch(*args))
    watch = Watch()
    watch.watcher.close()
    watch.watcher = Watcher()
    slack = 32  # for the way to the tree

    def finish(*keys):
        found, turns = set(), 0
        while watch.watcher.wait() == 0:
            calls.clear()
            found.update(watch.watcher.changed())
            turns += 1
            assert len(calls) <= STEPS_PER_CALL + slack
        assert found == set(keys)
        return turns

    watch.watcher.watch(str(tmp_path), recursive=True, key="tree")
    assert len(calls) <= STEPS_PER_CALL + slack
    assert finish() >= 2
    top.rename(tmp_path / "moved")
    calls.clear()
    assert watch.watcher.changed() == ["tree"]
    assert len(calls) <= STEPS_PER_CALL + slack
    assert finish() >= 2
    (tmp_path / "moved" / f"{3 * STEPS_PER_CALL - 1}" / "file").write_text("seen")
    (tmp_path / "moved" / "0" / "file").write_text("seen")
    watch.wait("tree")
    watch.watcher.close()


def test_rename_in_a_tree_walks_only_the_renamed_directory(tmp_path, monkeypatch):
    """The watches of the other directories stay."""
    for name in ("a/b", *(f"other{number}" for number in range(100))):
        (tmp_path / name).mkdir(parents=True)
    watch = Watch()
    watch.watcher.close()
    watch.watcher = Watcher()
    watch.watcher.watch(str(tmp_path), recursive=True, key="tree")
    paths = []
    add_watch = inotify_simple.INotify.add_watch
    monkeypatch.setattr(
        inotify_simple.INotify, "add_watch", lambda self, path, mask: paths.append(path) or add_watch(self, path, mask)
    )
    (tmp_path / "a").rename(tmp_path / "c")
    watch.wait("tree")
    assert sorted(paths) == [str(tmp_path / "c"), str(tmp_path / "c" / "b")]
    (tmp_path / "c" / "b" / "file").write_text("seen")
    watch.wait("tree")
    watch.watcher.close()
