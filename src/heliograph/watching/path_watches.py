"""Watches on every directory and link on the way to a path, and on the inode at its end.

The kernel resolves a path entry by entry, through links. This module watches each entry in its directory *before* it
looks the entry up, so no event is missed in between. One inode has one watch, however many paths lead through it. The
watch ends with the last of them. An inode without read permission cannot be watched. Then the watch of its directory
reports its events, and this module looks it up again when its permissions change.

A tree can be large, so it is walked in steps: `rescan` and `add_subtree` only begin a walk, and `walk` continues the
walks by a bounded number of steps. The old watches of a tree stay until the walk is complete. A directory that cannot
be watched is noted in `failed`, and the walk goes on with the others.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inotify_simple import flags

from heliograph.exceptions import ScheduleError
from heliograph.watching.inotify import CONTENT, ENTRIES, ITSELF, Inotify

_MAX_LINKS = 40
"""Links that a path may lead through. This is the limit of the kernel (`MAXSYMLINKS`)."""

_ENTRIES_PER_STEP = 1000
"""Entries of a directory that one step of a walk reads."""

_NO_WATCHES: Mapping[str | None, set[Watched]] = {}

Watch = tuple[int, str | None]
"""The number of an inode, and the name of the entry to watch in it. None: the whole inode."""


@dataclass(eq=False, slots=True)
class Watched:
    """An absolute path, and its watches."""

    key: object
    path: str
    recursive: bool
    watches: set[Watch] = field(default_factory=set[Watch])
    end: int | None = None
    """The inode that reports events at the path. None while there is nothing at the path."""
    tree: dict[int, str] = field(default_factory=dict[int, str])
    """The directories at and below the path, with their paths, if the watch is recursive."""
    unreadable: dict[str, Watch] = field(default_factory=dict[str, Watch])
    """Paths without read permission, and the entries that report their events."""
    walks: list[Iterator[None]] = field(default_factory=list[Iterator[None]])
    """Walks of the tree that are not complete."""
    retired: set[Watch] = field(default_factory=set[Watch])
    """Watches from before the walk of the whole tree, which end when that walk is complete."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Paths that cannot be watched, and the reasons."""


class PathWatches:
    """Knows which inodes are watched for which paths."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._watched: dict[int, dict[str | None, set[Watched]]] = {}

    def of(self, wd: int) -> Mapping[str | None, set[Watched]]:
        """Return the paths that watch an inode, by the name of the entry."""
        return self._watched.get(wd, _NO_WATCHES)

    def rescan(self, watch: Watched) -> None:
        """Watch the inode that is at the path now and the entries on the way, then drop the old watches.

        Raises:
            ScheduleError: The path cannot be watched. The old watches stay.
        """
        before, watch.watches, watch.end = watch.watches | watch.retired, set(), None
        watch.unreadable, watch.walks, watch.retired, watch.failed = {}, [], set(), {}
        try:
            end = self._walk(watch)
            self._watch_target(watch, end)
        except ScheduleError:
            watch.watches |= before
            raise
        if watch.recursive and end is not None and watch.end is not None:
            watch.retired = before - watch.watches
            watch.walks.append(self._whole_tree(watch, end))
        else:
            watch.tree = {}
            self._release(watch, before - watch.watches)

    def add_subtree(self, watch: Watched, top: str) -> None:
        """Begin to watch the directories at and below `top`."""
        watch.walks.append(self._subtree(watch, [top]))

    def drop_subtree(self, watch: Watched, top: str) -> None:
        """Stop watching the directories at and below `top`, which has moved away."""
        moved = {(wd, None) for wd, path in watch.tree.items() if path == top or path.startswith(f"{top}/")}
        for wd, _ in moved:
            del watch.tree[wd]
        self._release(watch, moved & (watch.watches | watch.retired))
        watch.watches -= moved
        watch.retired -= moved

    def retry(self, watch: Watched) -> None:
        """Begin to watch the directories that could not be watched before."""
        ahead, watch.failed = list(watch.failed), {}
        watch.walks.append(self._subtree(watch, ahead))

    def walk(self, watch: Watched, steps: int) -> int:
        """Continue the walks of a tree. Return how many of the `steps` are left."""
        while watch.walks and steps > 0:
            steps -= 1
            if next(watch.walks[0], self) is self:
                del watch.walks[0]
        return steps

    def drop(self, watch: Watched) -> None:
        """Drop all watches of a path."""
        watch.walks = []
        self._release(watch, watch.watches | watch.retired)
        watch.watches, watch.retired = set(), set()

    def forget(self, wd: int) -> None:
        """Drop the watches of a removed inode."""
        for name, watches in self._watched.pop(wd, _NO_WATCHES).items():
            for watch in watches:
                watch.watches.discard((wd, name))
                watch.retired.discard((wd, name))
                watch.tree.pop(wd, None)

    def _whole_tree(self, watch: Watched, top: str) -> Iterator[None]:
        """Watch a tree, and then drop the watches from before."""
        yield from self._subtree(watch, [top])
        self._release(watch, watch.retired - watch.watches)
        watch.retired = set()
        watch.tree = {wd: path for wd, path in watch.tree.items() if (wd, None) in watch.watches}

    def _subtree(self, watch: Watched, ahead: list[str]) -> Iterator[None]:
        """Watch directories and those below, each before its entries are read. Links are not followed."""
        while ahead:
            yield
            here = ahead.pop()
            try:
                wd = self._add_watch(watch, here, CONTENT | ENTRIES | ITSELF | flags.ONLYDIR, None)
                watch.tree[wd] = here
                with os.scandir(here) as entries:
                    for number, entry in enumerate(entries, 1):
                        if entry.is_dir(follow_symlinks=False):
                            ahead.append(entry.path)
                        if number % _ENTRIES_PER_STEP == 0:
                            yield
            except (FileNotFoundError, NotADirectoryError):
                pass  # it was removed, or is a file
            except (ScheduleError, OSError) as error:
                watch.failed[here] = _reason(here, error)

    def _walk(self, watch: Watched) -> str | None:
        """Watch the way to a path. Return the path without links, or None if it leads nowhere."""
        here, names, links = "", _names(watch.path), 0
        while names:
            name = names.pop()
            if name == "..":
                here = here.rpartition("/")[0]
                continue
            link = self._watch_component(watch, here, name)
            if link is None:
                return None
            if not link:
                here = f"{here}/{name}"
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            names += _names(link)
            here = "" if link.startswith("/") else here
        return here or "/"

    def _watch_component(self, watch: Watched, here: str, name: str) -> str | None:
        """Watch an entry and look it up. Return the target of a link, "" for other files, None if it is missing."""
        try:
            with contextlib.suppress(PermissionError):  # the watch of the next entry reports its removal
                self._add_watch(watch, here or "/", ENTRIES | ITSELF | flags.ONLYDIR, name)
            return str(Path(f"{here}/{name}").readlink())
        except OSError as error:
            return "" if error.errno == errno.EINVAL else None

    def _watch_target(self, watch: Watched, end: str | None) -> None:
        if end is None:
            return
        try:
            watch.end = self._add_watch(watch, end, CONTENT | ENTRIES | ITSELF, None)
        except PermissionError as error:
            self._watch_parent(watch, end, error)
        except (FileNotFoundError, NotADirectoryError):
            pass  # it was removed in the meantime, and the watch of its entry reports that

    def _watch_parent(self, watch: Watched, end: str, error: PermissionError) -> None:
        """Watch a file without read permission through its directory. This does not work for directories."""
        parent = watch.unreadable.get(end)
        watch.end = parent and parent[0]
        if parent is None or Path(end).is_dir():
            raise ScheduleError(f"cannot watch {watch.path!r}: no permission to read {end!r}", watch.path) from error

    def _add_watch(self, watch: Watched, path: str, mask: int, name: str | None) -> int:
        try:
            wd = self._inotify.add(path, mask)
        except PermissionError:
            self._mark_unreadable(watch, path)
            raise
        self._enter(watch, (wd, name))
        return wd

    def _mark_unreadable(self, watch: Watched, path: str) -> None:
        above, _, name = path.rpartition("/")
        with contextlib.suppress(OSError):  # it is not readable either, or was removed
            wd = self._inotify.add(above or "/", CONTENT | ENTRIES | ITSELF | flags.ONLYDIR)
            watch.unreadable[path] = (wd, name)
            self._enter(watch, (wd, name))

    def _enter(self, watch: Watched, entry: Watch) -> None:
        wd, name = entry
        self._watched.setdefault(wd, {}).setdefault(name, set()).add(watch)
        watch.watches.add(entry)
        watch.retired.discard(entry)

    def _release(self, watch: Watched, entries: Iterable[Watch]) -> None:
        for wd, name in entries:
            names = self._watched[wd]
            names[name].discard(watch)
            if not names[name]:
                del names[name]
            if not names:
                del self._watched[wd]
                self._inotify.remove(wd)


def _reason(path: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"cannot watch {path!r}: no permission to read it"
    return str(error) if isinstance(error, ScheduleError) else f"cannot watch {path!r}: {error}"


def _names(path: str) -> list[str]:
    """Return the names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
