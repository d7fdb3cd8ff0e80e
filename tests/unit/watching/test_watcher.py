"""Files that are watched by their path: real ones, waited for on the descriptor, never for a number of seconds."""

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

DEADLINE = 5.0
"""Seconds after which a change is taken for lost."""

NOBODY = 65_534
"""A user who owns nothing."""

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Told:
    """A watcher, and what it told."""

    def __init__(self):
        self.watcher = Watcher()

    def wait(self, *keys):
        """Until all these keys were told; exactly these, in all that is told meanwhile."""
        told = set()
        deadline = time.monotonic() + DEADLINE
        while not told >= set(keys):
            left = deadline - time.monotonic()
            assert select.select([self.watcher], [], [], max(0.0, left))[0], f"{set(keys) - told} not told"
            batch = self.watcher.changed()
            assert len(batch) == len(set(batch))
            told.update(batch)
        told.update(self.rest())
        assert told == set(keys)

    def rest(self):
        """What is still to be told. The kernel queues a change before the call that made it returns."""
        told = set()
        while select.select([self.watcher], [], [], 0)[0]:
            told.update(self.watcher.changed())
        return told

    def quiet(self):
        assert self.rest() == set()
        assert self.watcher.changed() == []


@pytest.fixture
def told():
    told = Told()
    yield told
    told.watcher.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "site" / "conf.d" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    return path


def replace(path, text="new"):
    """As careful programs write: beside it, then over it."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_text(text)
    beside.replace(path)


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
def test_a_change_of_a_file_is_told(told, file, change):
    """Once in a batch, whatever it is; and nothing after it."""
    told.watcher.watch(str(file), key="file")
    told.quiet()
    change(file)
    told.wait("file")
    told.quiet()


def test_opening_and_reading_is_no_change(told, file):
    """Nor is what happens to its neighbours."""
    told.watcher.watch(str(file), key="file")
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
    file.stat()
    file.with_name("other").write_text("x")
    file.with_name("other").unlink()
    told.quiet()


def test_it_survives_being_replaced(told, file):
    """Again and again; and the new file is watched as the old one was. uWSGI is deaf after the first time."""
    told.watcher.watch(str(file), key="file")
    for _ in range(3):
        replace(file)
        told.wait("file")
        file.write_text("in place")
        told.wait("file")


def test_it_survives_removal(told, file):
    """And being made again, by writing or by moving there."""
    told.watcher.watch(str(file), key="file")
    for make in (lambda: file.write_text("new"), lambda: replace(file), file.mkdir):
        file.unlink()
        told.wait("file")
        make()
        told.wait("file")
    (file / "entry").write_text("a directory now")
    told.wait("file")


def test_a_removed_file_that_a_program_still_writes_to_is_not_the_path(told, file):
    """What is written to the old inode after a replace counts no more."""
    with file.open("a") as old:
        told.watcher.watch(str(file), key="file")
        replace(file)
        told.wait("file")
        old.write("late")
        old.flush()
        told.quiet()
    told.quiet()


def test_a_write_through_a_hard_link_is_told(told, file):
    """It is the file's content that changes."""
    other = file.parents[2] / "other"
    other.hardlink_to(file)
    told.watcher.watch(str(file), key="file")
    other.write_text("new")
    told.wait("file")


def test_made_and_removed_in_one_batch_is_told(told, file):
    """It is not there after as before, but it changed."""
    told.watcher.watch(str(file), key="file")
    file.unlink()
    file.write_text("old")
    told.wait("file")
    file.rename(file.with_name("away"))
    file.with_name("away").rename(file)
    told.wait("file")


# the way to it


def test_parent_directories_may_go_and_come_back(told, file, tmp_path):
    """The whole directory above, removed and made again; the last file in it counts."""
    told.watcher.watch(str(file), key="file")
    for _ in range(2):
        shutil.rmtree(tmp_path / "site")
        told.wait("file")
        file.parent.mkdir(parents=True)
        told.quiet()
        file.write_text("new")
        told.wait("file")


def test_removal_while_each_step_is_looked_at(told, file, tmp_path):
    """The watcher keeps up in any rhythm, not only in one batch."""
    told.watcher.watch(str(file), key="file")
    file.unlink()
    told.wait("file")
    for path in (file.parent, file.parents[1]):
        path.rmdir()
        told.quiet()
    for path in (file.parents[1], file.parent):
        path.mkdir()
        told.quiet()
    file.write_text("new")
    told.wait("file")


def test_a_directory_that_a_process_stands_in(told, file, tmp_path):
    """A deployment removes the directory that the server runs in; the kernel keeps the inode, the path is another."""
    held = os.open(file.parent, os.O_RDONLY)
    try:
        told.watcher.watch(str(file), key="file")
        file.unlink()
        told.wait("file")
        file.parent.rmdir()
        told.quiet()
        file.parent.mkdir()
        file.write_text("new")
        told.wait("file")
    finally:
        os.close(held)


def test_a_parent_that_moves_away_and_back(told, file, tmp_path):
    """Away it is as removed; another that moves there is as replaced."""
    told.watcher.watch(str(file), key="file")
    site, away = tmp_path / "site", tmp_path / "away"
    site.rename(away)
    told.wait("file")
    (away / "conf.d" / "file").write_text("not at the path")
    told.quiet()
    away.rename(site)
    told.wait("file")
    file.write_text("new")
    told.wait("file")


def test_a_path_whose_parents_do_not_exist_yet(told, tmp_path):
    """With `missing_ok` it is waited for, directory by directory; directories alone are no change."""
    file = tmp_path / "a" / "b" / "c"
    told.watcher.watch(str(file), missing_ok=True, key="file")
    (tmp_path / "a").mkdir()
    told.quiet()
    file.parent.mkdir()
    file.write_text("new")
    told.wait("file")


def test_a_path_below_a_file_is_missing(told, file):
    """Until the file is a directory."""
    told.watcher.watch(str(file / "below"), missing_ok=True, key="below")
    file.write_text("new")
    told.quiet()
    file.unlink()
    file.mkdir()
    (file / "below").write_text("new")
    told.wait("below")


def test_a_relative_path_is_one_of_this_directory(told, file, monkeypatch):
    """Of the time when it was given; dots in it are followed."""
    monkeypatch.chdir(file.parents[1])
    told.watcher.watch("./conf.d/../conf.d//file", key="file")
    monkeypatch.chdir("/")
    file.write_text("new")
    told.wait("file")


# links


def test_the_target_of_a_link_is_watched(told, file, tmp_path):
    """Through two links, relative and absolute: a write, a replace, and a removal at the end of them."""
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(file)
    told.watcher.watch(str(tmp_path / "first"), key="link")
    file.write_text("new")
    told.wait("link")
    replace(file)
    told.wait("link")
    file.unlink()
    told.wait("link")
    file.write_text("new")
    told.wait("link")


def test_a_link_that_is_pointed_elsewhere(told, file, tmp_path):
    """That counts, and from then on the new target does, not the old one."""
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(file)
    other.write_text("other")
    told.watcher.watch(str(link), key="link")
    (tmp_path / "new").symlink_to("other")
    (tmp_path / "new").replace(link)
    told.wait("link")
    file.write_text("new")
    told.quiet()
    other.write_text("new")
    told.wait("link")


def test_a_config_map(told, tmp_path):
    """Kubernetes swaps the link `..data` in the middle of the path; the file and the directory are told of it."""
    volume = tmp_path / "config"
    (volume / "..1").mkdir(parents=True)
    (volume / "..1" / "app.ini").write_text("1")
    (volume / "..data").symlink_to("..1")
    (volume / "app.ini").symlink_to("..data/app.ini")
    told.watcher.watch(str(volume / "app.ini"), key="file")
    told.watcher.watch(str(volume), key="volume")
    for version in (2, 3, 4):
        made = volume / f"..{version}"
        made.mkdir()
        (made / "app.ini").write_text(str(version))
        told.wait("volume")
        (volume / "..data_tmp").symlink_to(made.name)
        (volume / "..data_tmp").replace(volume / "..data")
        told.wait("file", "volume")
        shutil.rmtree(volume / f"..{version - 1}")
        told.wait("volume")


def test_links_that_lead_nowhere(told, tmp_path):
    """In a circle, or to what is missing: as a path that is missing."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "three").symlink_to("missing")
    for name in ("one", "three"):
        with pytest.raises(ScheduleError, match=name):
            told.watcher.watch(str(tmp_path / name), key=name)
        told.watcher.watch(str(tmp_path / name), missing_ok=True, key=name)
    (tmp_path / "missing").write_text("new")
    told.wait("three")
    (tmp_path / "two").unlink()
    told.quiet()
    (tmp_path / "two").write_text("new")
    told.wait("one")


# directories


def test_entries_of_a_directory(told, file):
    """Made, written, touched, moved, removed; what is below its subdirectories is not."""
    below = file.parent / "sub"
    below.mkdir()
    told.watcher.watch(str(file.parent), key="dir")
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
        told.wait("dir")
    (below / "file").write_text("new")
    told.quiet()


def test_an_entry_that_is_removed_while_it_is_written_to(told, file):
    """It is an entry no more."""
    told.watcher.watch(str(file.parent), key="dir")
    with file.open("a") as gone:
        file.unlink()
        told.wait("dir")
        gone.write("late")
    told.quiet()


def test_a_directory_that_is_removed_and_made_again(told, file):
    """It is watched by its path too."""
    told.watcher.watch(str(file.parent), key="dir")
    shutil.rmtree(file.parent)
    told.wait("dir")
    file.parent.mkdir()
    told.wait("dir")
    file.write_text("new")
    told.wait("dir")


def test_a_tree(told, file, tmp_path):
    """With directories that were there, that came later, and that came with all that is in them."""
    told.watcher.watch(str(tmp_path), recursive=True, key="tree")
    file.write_text("new")
    told.wait("tree")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    told.wait("tree")
    (deep / "file").write_text("new")
    told.wait("tree")
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    told.wait("tree")
    (tmp_path / "copy" / "b" / "c" / "file").write_text("newer")
    told.wait("tree")


def test_a_directory_that_moves_within_a_tree_into_it_and_out_of_it(told, tmp_path):
    """In it, it counts wherever it is; out of it, it does not."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "a" / "sub").mkdir(parents=True)
    told.watcher.watch(str(tree), recursive=True, key="tree")
    (tree / "a").rename(tree / "b")
    told.wait("tree")
    (tree / "b" / "sub" / "new").mkdir()
    told.wait("tree")
    (tree / "b" / "sub" / "new" / "file").write_text("new")
    told.wait("tree")
    (tree / "b").rename(outside)
    told.wait("tree")
    (outside / "sub" / "file").write_text("new")
    (outside / "sub" / "new" / "file").write_text("new")
    told.quiet()
    outside.rename(tree / "c")
    told.wait("tree")
    (tree / "c" / "sub" / "file").write_text("newer")
    told.wait("tree")


def test_a_tree_that_goes_and_comes_back(told, tmp_path):
    """Its top is a path like any other; links in it are not followed."""
    tree = tmp_path / "tree"
    told.watcher.watch(str(tree), recursive=True, missing_ok=True, key="tree")
    for _ in range(2):
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "circle").symlink_to(tree)
        told.wait("tree")
        (tree / "sub" / "file").write_text("new")
        told.wait("tree")
        shutil.rmtree(tree)
        told.wait("tree")


def test_a_tree_holds_on_to_nothing_that_went(told, tmp_path):
    """Directories come and go for as long as a server runs."""
    told.watcher.watch(str(tmp_path), recursive=True, key="tree")
    before = len(watched(told.watcher))
    for _ in range(3):
        (tmp_path / "a" / "b").mkdir(parents=True)
        told.wait("tree")
        assert len(watched(told.watcher)) == before + 2
        shutil.rmtree(tmp_path / "a")
        told.wait("tree")
    assert len(watched(told.watcher)) == before
    (watch,) = told.watcher._watches.values()
    assert len(watch.watches) == before
    assert list(watch.tree.values()) == [str(tmp_path)]


# several


def watched(watcher):
    """The inodes that the kernel watches for it."""
    lines = Path(f"/proc/self/fdinfo/{watcher.fileno()}").read_text().splitlines()
    return [line for line in lines if line.startswith("inotify ")]


def test_changes_together_are_told_together(told, file):
    """Each of them, in one batch. uWSGI raises one signal for them."""
    other = file.with_name("other")
    other.write_text("old")
    told.watcher.watch(str(file), key="file")
    told.watcher.watch(str(other), key="other")
    file.write_text("new")
    other.write_text("new")
    file.write_text("newer")
    assert select.select([told.watcher], [], [], DEADLINE)[0]
    assert told.watcher.changed() == ["file", "other"]
    told.quiet()


def test_several_keys_for_one_path(told, file):
    """Each is told; one goes, the others stay. Also with a link, a parent and a tree over the same inodes."""
    told.watcher.watch(str(file.parents[1]), recursive=True, key="tree")
    told.watcher.watch(str(file.parent), key="dir")
    told.watcher.watch(str(file), key=1)
    told.watcher.watch(str(file), key=("two", 2))
    file.write_text("new")
    told.wait(1, ("two", 2), "dir", "tree")
    told.watcher.unwatch("dir")
    told.watcher.unwatch(1)
    replace(file)
    told.wait(("two", 2), "tree")
    told.watcher.unwatch("tree")
    file.write_text("newer")
    told.wait(("two", 2))


def test_unwatch_forgets_what_was_not_told(told, file):
    """And gives all back to the kernel; a key that is unknown is none to forget."""
    assert watched(told.watcher) == []
    told.watcher.watch(str(file), key="file")
    told.watcher.watch(str(file.parents[1]), recursive=True, key="tree")
    file.write_text("new")
    for key in ("file", "tree", "tree", "never"):
        told.watcher.unwatch(key)
    told.quiet()
    file.write_text("newer")
    assert select.select([told.watcher], [], [], 0) == ([], [], [])
    assert watched(told.watcher) == []


def test_a_key_that_is_watched_again(told, file):
    """The new path takes the place of the old one."""
    other = file.with_name("other")
    other.write_text("old")
    told.watcher.watch(str(file), key="key")
    told.watcher.watch(str(other), key="key")
    file.write_text("new")
    told.quiet()
    other.write_text("new")
    told.wait("key")


def test_a_thousand_files(told, tmp_path):
    """More than uWSGI's 64: all are told, also after the directory was replaced under them."""
    files = [tmp_path / "many" / str(number) for number in range(1000)]
    files[0].parent.mkdir()
    for path in files:
        path.write_text("old")
    for number, path in enumerate(files):
        told.watcher.watch(str(path), key=number)
    files[617].write_text("new")
    told.wait(617)
    for path in files:
        os.utime(path)
    told.wait(*range(1000))
    shutil.copytree(tmp_path / "many", tmp_path / "copy")
    (tmp_path / "many").rename(tmp_path / "old")
    (tmp_path / "copy").rename(tmp_path / "many")
    told.wait(*range(1000))
    files[617].write_text("new")
    told.wait(617)


def test_ten_thousand_events_are_one_change(told, file):
    """Of each path, in one batch."""
    other = file.with_name("other")
    other.write_text("old")
    told.watcher.watch(str(file), key="file")
    told.watcher.watch(str(other), key="other")
    for _ in range(5000):
        os.utime(file)
        os.utime(other)
    assert told.watcher.changed() == ["file", "other"]
    told.quiet()


@pytest.mark.skipif(int(QUEUE.read_text()) > 100_000, reason="the kernel's queue is too long to fill")
def test_more_than_the_kernel_keeps(told, file, tmp_path):
    """Past the end of its queue everything may have changed, and is looked at anew."""
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for name in "xy":
        (noisy / name).write_text("old")
    told.watcher.watch(str(noisy), key="noisy")
    told.watcher.watch(str(file), key="file")
    told.watcher.watch(str(tmp_path / "missing"), missing_ok=True, key="missing")
    told.watcher.watch(str(tmp_path / "never"), missing_ok=True, key="never")
    for _ in range(int(QUEUE.read_text()) // 2 + 1):
        os.utime(noisy / "x")
        os.utime(noisy / "y")
    replace(file)
    (tmp_path / "missing").write_text("new")
    told.wait("noisy", "file", "missing", "never")
    for path, key in ((file, "file"), (tmp_path / "missing", "missing")):
        path.write_text("in place")
        told.wait(key)


# rights


@pytest.fixture
def own():
    """A directory of a user who may not read everything."""
    top = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(top, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield top
    if root:
        os.seteuid(0)
    shutil.rmtree(top)


def test_a_file_that_may_not_be_read(told, own):
    """Its directory tells of it; and when it may be read it is watched as any other."""
    file = own / "file"
    file.write_text("old")
    with file.open("a") as writer:
        file.chmod(0)
        told.watcher.watch(str(file), key="file")
        writer.write("new")
    told.wait("file")
    file.rename(own / "away")
    told.wait("file")
    (own / "away").rename(file)
    told.wait("file")
    file.chmod(0o600)
    told.wait("file")
    (own / "link").hardlink_to(file)
    told.wait("file")
    (own / "link").write_text("newer")
    told.wait("file")


def test_a_way_that_opens_later(told, own):
    """A directory is made closed, filled, and opened; as by an installer that is careful."""
    told.watcher.watch(str(own / "way" / "file"), missing_ok=True, key="file")
    (own / "way").mkdir()
    (own / "way").chmod(0)
    told.quiet()
    (own / "way").chmod(0o700)
    told.quiet()
    (own / "way" / "file").write_text("new")
    told.wait("file")


def test_a_way_that_may_not_be_listed(told, own):
    """Then at least what leaves it is noticed: of a file and of a tree."""
    top = own / "way" / "top"
    top.mkdir(parents=True)
    (top / "file").write_text("old")
    (own / "way").chmod(0o300)
    told.watcher.watch(str(top / "file"), key="file")
    told.watcher.watch(str(top), recursive=True, key="tree")
    replace(top / "file")
    told.wait("file", "tree")
    top.rename(own / "way" / "moved")
    told.wait("file", "tree")
    (own / "way" / "moved" / "file").write_text("not at the path")
    told.quiet()
    (own / "way").chmod(0o700)


def test_a_directory_that_may_not_be_read(told, own, caplog):
    """It is refused. One that was watched is told and logged, and watched when it may be read again."""
    top = own / "top"
    top.mkdir(mode=0)
    with pytest.raises(ScheduleError, match="no permission to read"):
        told.watcher.watch(str(top), key="dir")
    assert watched(told.watcher) == []
    top.chmod(0o700)
    told.watcher.watch(str(top), key="dir")
    top.rmdir()
    told.wait("dir")
    top.mkdir(mode=0)
    told.wait("dir")
    assert "top' is watched in part only" in caplog.text
    top.chmod(0o700)
    told.wait("dir")
    (top / "entry").write_text("new")
    told.wait("dir")


def test_a_closed_directory_in_a_tree(told, own):
    """The others are watched, and it is when it opens."""
    closed, other = own / "closed", own / "other"
    closed.mkdir(mode=0)
    other.mkdir()
    told.watcher.watch(str(own), recursive=True, key="tree")
    (other / "file").write_text("new")
    told.wait("tree")
    closed.chmod(0o700)
    told.wait("tree")
    (closed / "file").write_text("new")
    told.wait("tree")


def test_nothing_may_be_read(told, own):
    """Neither a file nor the directory that it is in: refused."""
    (own / "way").mkdir()
    (own / "way" / "file").write_text("old")
    (own / "way" / "file").chmod(0)
    (own / "way").chmod(0o300)
    with pytest.raises(ScheduleError, match="no permission to read"):
        told.watcher.watch(str(own / "way" / "file"), key="file")
    assert watched(told.watcher) == []
    (own / "way").chmod(0o700)


# refusals


def test_a_missing_path_is_refused(told, tmp_path):
    """The error names it and what to do; nothing is watched for it."""
    path = str(tmp_path / "missing")
    with pytest.raises(ScheduleError, match=r"nothing is at .*missing.*missing_ok=True") as caught:
        told.watcher.watch(path, key="key")
    assert caught.value.value == path
    assert watched(told.watcher) == []


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(told, path):
    """Also with `missing_ok`: it will never be there."""
    with pytest.raises(ScheduleError, match="path of a file or directory") as caught:
        told.watcher.watch(path, missing_ok=True, key="key")
    assert caught.value.value == path


def test_a_refusal_leaves_the_key_its_path(told, file):
    """What was watched before still is."""
    told.watcher.watch(str(file), key="key")
    with pytest.raises(ScheduleError):
        told.watcher.watch(str(file.with_name("missing")), key="key")
    file.write_text("new")
    told.wait("key")


def test_a_relative_path_of_a_directory_that_is_gone(told, tmp_path, monkeypatch):
    """Nothing can be there, ever."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ScheduleError, match=r"'file'.*is gone"):
        told.watcher.watch("file", missing_ok=True, key="key")


def failing(monkeypatch, name, number, when=lambda *_: True):
    """Let inotify's call fail so, as it is hard to bring about."""
    call = getattr(inotify_simple.INotify, name)

    def fail(self, *args, **kwargs):
        if when(*args):
            raise OSError(number, os.strerror(number))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(inotify_simple.INotify, name, fail)


def test_at_the_kernel_s_limit_of_watches(told, file, monkeypatch):
    """The error says what to raise; what the path took is given back."""
    failing(monkeypatch, "add_watch", errno.ENOSPC, lambda path, _mask: path == str(file))
    with pytest.raises(ScheduleError, match=r"file.*fs\.inotify\.max_user_watches"):
        told.watcher.watch(str(file), key="key")
    assert watched(told.watcher) == []


def test_at_that_limit_while_it_watches(told, file, monkeypatch, caplog):
    """A path that cannot be watched again is logged and told; the others go on, and it does when there is room."""
    other = file.with_name("other")
    other.write_text("old")
    told.watcher.watch(str(file), key="file")
    told.watcher.watch(str(other), key="other")
    with monkeypatch.context() as full:
        failing(full, "add_watch", errno.ENOSPC)
        replace(file)
        other.write_text("new")
        told.wait("file", "other")
        assert "file' is watched in part only" in caplog.text
        assert "max_user_watches" in caplog.text
    replace(file)
    told.wait("file")
    file.write_text("in place")
    told.wait("file")
    with monkeypatch.context() as full:
        failing(full, "add_watch", errno.ENOSPC)
        for _ in range(2):
            replace(file)
            told.wait("file")
    for key in ("file", "other"):
        told.watcher.unwatch(key)
    assert watched(told.watcher) == []


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSYS, "has no inotify"), (errno.EMFILE, r"fs\.inotify\.max_user_instances")]
)
def test_a_system_without_inotify(monkeypatch, number, said):
    """Or with no more of it for this user."""
    failing(monkeypatch, "__init__", number)
    with pytest.raises(ScheduleError, match=said):
        Watcher()


def test_close_gives_the_descriptor_back(file):
    """Also when it is called twice; and a process that is started does not get it."""
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
def test_each_change_in_any_order_is_told(tmp_path_factory, steps):
    """Two files in directories of their own: after each step its file is told, the other is not."""
    top = tmp_path_factory.mktemp("any")
    files = [top / "0" / "file", top / "1" / "file"]
    told = Told()
    try:
        for number, path in enumerate(files):
            path.parent.mkdir()
            told.watcher.watch(str(path), missing_ok=True, key=number)
        for number, step in steps:
            path = files[number]
            possible = path.exists() or step not in NEEDS_ONE
            shutil.rmtree(path.parent.with_suffix(".away"), ignore_errors=True)
            told.rest()
            STEPS[step if possible else "write"](path)
            told.wait(number)
    finally:
        told.watcher.close()
        shutil.rmtree(top)
