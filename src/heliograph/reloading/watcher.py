"""Waits until files have changed, and until no more of them change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from heliograph.reloading.tree import Tree, matches

STEP = 0.1
"""Seconds without a change after which a series of changes is over."""
MAX_SERIES = 5.0
"""Seconds after which a series of changes counts as over although it goes on."""
GIT_TIMEOUT = 10.0
"""Seconds in which a command of git must have ended that changes the working tree."""
_GIT_LOCK = Path(".git", "index.lock")
"""File that exists while git changes the working tree."""
_TIMEOUT = 300
"""Milliseconds after which a watch returns without a change."""

Watch = Callable[..., Iterable[Any]]


def changes(
    watch: Watch, roots: Sequence[Path], patterns: Sequence[str], since: Callable[[], float]
) -> Iterator[list[str]]:
    """Yield the paths that have changed, after each series of changes. The first list may be empty.

    `since` returns the time of the code that runs. Files that are newer have changed.

    `watch` is that of watchfiles. It says only when to look: what has changed follows from the state of all files. So a
    change while a directory is not watched yet is not missed, and a file that is as it was is no change.
    """
    tree = Tree.read(roots, patterns)
    yield tree.newer_than(since())
    while True:
        watched = tree
        for now, changed in _looks(watch, watched, roots, patterns):
            tree = now
            if changed:
                yield changed
            if now.directories != watched.directories:
                break


def _looks(
    watch: Watch, tree: Tree, roots: Sequence[Path], patterns: Sequence[str]
) -> Iterator[tuple[Tree, list[str]]]:
    """Look at the files when something has changed, and once when the watch has begun."""
    has_looked = False
    directories = tree.directories

    def counts(_change: object, path: str) -> bool:
        """Return True for directories, and for files that count. The log of the server may be written next to them."""
        return not has_looked or matches(path, patterns) or path in directories or Path(path).is_dir()

    try:
        for found in _watch(watch, directories, counts):
            if found or not has_looked:
                _await_git(roots)
                now, has_looked = Tree.read(roots, patterns), True
                yield now, now.changed(tree)
                tree = now
    except FileNotFoundError:  # a directory has been removed since it was found
        now = Tree.read(roots, patterns)
        yield now, now.changed(tree)


def _watch(watch: Watch, directories: Iterable[str], counts: Callable[[object, str], bool]) -> Iterable[object]:
    return watch(
        *sorted(directories),
        recursive=False,
        watch_filter=counts,
        step=int(STEP * 1000),
        debounce=int(MAX_SERIES * 1000),
        rust_timeout=_TIMEOUT,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )


def _await_git(roots: Iterable[Path]) -> None:
    """Wait until git has changed the whole working tree."""
    locks = [parent / _GIT_LOCK for root in roots for parent in (root, *root.parents)]
    until = time.monotonic() + GIT_TIMEOUT
    while time.monotonic() < until and any(lock.exists() for lock in locks):
        time.sleep(STEP)
