"""The files whose changes cause a reload, and the directories that hold them.

Directories of tools, virtual environments and package managers are left out with all that is in them, since they may
have many thousands of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

IGNORED = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Names of directories that are left out. Those with a dot at the beginning are, too."""
_MARK_OF_ENVIRONMENT = "pyvenv.cfg"
"""File in the root of a virtual environment."""

_NANO = 1_000_000_000
"""Nanoseconds in a second."""

Version = tuple[int, int, int]
"""A version of a file: time of its last change in ns, size, and inode."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The state of the files at one moment."""

    files: Mapping[str, Version] = field(default_factory=dict[str, Version])
    directories: frozenset[str] = frozenset()

    @classmethod
    def read(cls, roots: Iterable[Path], patterns: Iterable[str]) -> Tree:
        """Read the files below some directories whose names match one of the patterns."""
        files: dict[str, Version] = {}
        directories: set[str] = set()
        patterns = tuple(patterns)
        for root in roots:
            _read(str(root), patterns, files, directories)
        return cls(files, frozenset(directories))

    def changed(self, before: Tree) -> list[str]:
        """Return the paths of files that were added, changed or removed, the last changed one first."""
        paths = [path for path in {*self.files, *before.files} if self.files.get(path) != before.files.get(path)]
        return self._by_time(paths)

    def newer_than(self, seconds: float) -> list[str]:
        """Return the paths of files that were changed after a time, the last changed one first."""
        return self._by_time(path for path, version in self.files.items() if version[0] > seconds * _NANO)

    def _by_time(self, paths: Iterable[str]) -> list[str]:
        return sorted(paths, key=lambda path: (-self.files.get(path, (0, 0, 0))[0], path))


def is_ignored(name: str) -> bool:
    """Return True if directories of that name are left out."""
    return name in IGNORED or name.startswith(".")


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Return True if the name of a file matches one of the patterns."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _read(directory: str, patterns: tuple[str, ...], files: dict[str, Version], directories: set[str]) -> None:
    entries = list(_entries(directory))
    if any(entry.name == _MARK_OF_ENVIRONMENT for entry in entries):
        return
    directories.add(directory)
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if not is_ignored(entry.name) and entry.path not in directories:
                    _read(entry.path, patterns, files, directories)
            elif matches(entry.name, patterns):
                found = entry.stat()
                files[entry.path] = found.st_mtime_ns, found.st_size, found.st_ino
        except OSError:  # it has been removed
            continue


def _entries(directory: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            yield from entries
    except OSError:  # it has been removed, or this user may not read it
        return
