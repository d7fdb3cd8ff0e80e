"""The files that count, and what has changed between two looks at them."""

from __future__ import annotations

import os

import pytest

from heliograph.reloading.tree import Tree, matches

PATTERNS = ("*.py", "*.html")


@pytest.fixture
def look(tmp_path):
    return lambda: Tree.read([tmp_path], PATTERNS)


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_files_that_match_count_in_all_directories(tmp_path, look):
    """Others do not, so a log or a database next to them causes no reload."""
    for name in ("a.py", "shop/b.py", "shop/deep/down/c.html", "shop.log", "shop/x.sqlite", "a.pyc", "py"):
        write(tmp_path / name)
    tree = look()
    assert {os.path.relpath(path, tmp_path) for path in tree.files} == {"a.py", "shop/b.py", "shop/deep/down/c.html"}
    assert {os.path.relpath(path, tmp_path) for path in tree.directories} == {
        ".",
        "shop",
        "shop/deep",
        "shop/deep/down",
    }


@pytest.mark.parametrize(
    "name", ["node_modules", ".git", ".venv", "__pycache__", "site-packages", ".tox", "a/node_modules"]
)
def test_directories_of_tools_are_left_out(tmp_path, look, name):
    """With all that is in them."""
    write(tmp_path / name / "deep" / "a.py")
    tree = look()
    assert not tree.files
    assert not any("deep" in path for path in tree.directories)


def test_a_virtual_environment_is_left_out_by_its_content(tmp_path, look):
    """Whatever its name is."""
    write(tmp_path / "env" / "lib" / "a.py")
    write(tmp_path / "env" / "pyvenv.cfg")
    assert not look().files


def test_links_to_directories_are_not_followed(tmp_path, look):
    """They may lead in a circle. Links to files count by the content of the file."""
    write(tmp_path / "a.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "b.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nothing")
    assert {os.path.relpath(path, tmp_path) for path in look().files} == {"a.py", "b.py"}


def test_a_root_may_be_ignored_by_its_name_and_may_be_missing(tmp_path):
    """The user has named it."""
    write(tmp_path / ".hidden" / "a.py")
    assert len(Tree.read([tmp_path / ".hidden", tmp_path / "no"], PATTERNS).files) == 1


def test_what_was_added_changed_or_removed_is_found(tmp_path, look):
    """The last changed first. A file that was only read is no change."""
    for name in ("same.py", "changed.py", "removed.py", "replaced.py"):
        write(tmp_path / name)
        os.utime(tmp_path / name, ns=(1, 1))
    before = look()
    assert look().changed(before) == []
    (tmp_path / "same.py").read_text()
    (tmp_path / "removed.py").unlink()
    write(tmp_path / "added.py")
    os.utime(tmp_path / "added.py", ns=(3, 3))
    os.utime(tmp_path / "changed.py", ns=(4, 4))
    write(tmp_path / "new")
    os.utime(tmp_path / "new", ns=(1, 1))
    (tmp_path / "new").replace(tmp_path / "replaced.py")
    names = [os.path.basename(path) for path in look().changed(before)]  # noqa: PTH119 - texts
    assert names == ["changed.py", "added.py", "replaced.py", "removed.py"]


def test_patterns_are_those_of_names():
    """A directory with such a name counts for nothing."""
    assert matches("/a.py/b.py", PATTERNS)
    assert not matches("/a.py/b", PATTERNS)
