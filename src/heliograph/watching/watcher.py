"""Files that are watched by their path, whatever inode is there.

Rules:

- What happens to an entry on the way to a path (made, removed, moved) may lead it elsewhere: it is looked up anew. That
  counts as a change if something was at the path before, or is now.
- What happens to the inode at the end counts by itself; at a directory also what happens to its entries, and if it is
  recursive to those of the directories below it. Links in a tree are not followed: there would be no end.
- inotify's queue has an end (`fs.inotify.max_queued_events`). Past it nobody knows what happened: everything counts.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from inotify_simple import Event, flags

from heliograph.exceptions import ScheduleError
from heliograph.watching.claims import PathWatches, Watched
from heliograph.watching.inotify import ENTRIES, ITSELF, Inotify

_LOG = logging.getLogger("heliograph.watching")


class Watcher:
    """Tells which of many paths changed, through one descriptor. For one thread; nothing blocks.

    >>> watcher = Watcher()
    >>> watcher.watch("/", key="root")
    >>> watcher.changed()
    []
    >>> watcher.close()
    """

    def __init__(self) -> None:
        """Raises `ScheduleError` on a system without inotify."""
        self._inotify = Inotify()
        self._claims = PathWatches(self._inotify)
        self._watches: dict[object, Watched] = {}

    def fileno(self) -> int:
        """A descriptor that is readable while `changed` may have something to tell."""
        return self._inotify.fileno()

    def watch(self, path: str, *, recursive: bool = False, missing_ok: bool = False, key: object) -> None:
        """Watch `path` for `key`, instead of what `key` watched before. A change just before may still be told.

        Raises `ScheduleError` for a path that is empty or missing (unless `missing_ok`), for a directory that may not
        be read, and at the limit of `fs.inotify.max_user_watches`; what was watched still is.
        """
        watch = Watched(key, _absolute(path), recursive)
        with contextlib.ExitStack() as undo:
            undo.callback(self._claims.drop, watch)
            self._claims.rescan(watch)
            if watch.end is None and not missing_ok:
                raise ScheduleError(f"nothing is at {path!r} to be watched; missing_ok=True waits for it", path)
            undo.pop_all()
        self.unwatch(key)
        self._watches[key] = watch

    def unwatch(self, key: object) -> None:
        """Forget `key`, also what was not told of it yet. No error if nothing is watched for it."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            self._claims.drop(watch)

    def changed(self) -> list[object]:
        """The keys whose path changed since the last call, each once; none is missed, and nothing is waited for."""
        changed: dict[Watched, None] = {}
        stale: dict[Watched, None] = {}
        for event in self._inotify.read():
            self._sort(event, changed, stale)
        for watch in stale:
            there = watch.end is not None
            if not self._look_again(watch) or there or watch.end is not None:
                changed[watch] = None
        return [watch.key for watch in changed]

    def close(self) -> None:
        """Give the descriptor back; nothing is watched any more."""
        self._watches.clear()
        self._inotify.close()

    def _sort(self, event: Event, changed: dict[Watched, None], stale: dict[Watched, None]) -> None:
        claimed = self._claims.of(event.wd)
        if event.mask & flags.Q_OVERFLOW:
            everything = dict.fromkeys(self._watches.values())
            changed |= everything
            stale |= everything
        elif event.mask & flags.IGNORED:
            self._claims.forget(event.wd)
        else:
            stale |= {watch: None for watch in claimed.get(event.name, ()) if _leads_elsewhere(event, watch)}
            if event.mask & ITSELF:
                stale |= {watch: None for watches in claimed.values() for watch in watches if _on_way(event, watch)}
            for watch in tuple(claimed.get(None, ())):
                changed[watch] = None
                self._follow(event, watch, stale)

    def _follow(self, event: Event, watch: Watched, stale: dict[Watched, None]) -> None:
        """Keep up with a directory that comes into a tree, or moves."""
        if event.wd in watch.tree and event.mask & flags.ISDIR:
            if event.mask & flags.CREATE:
                self._claims.add_subtree(watch, f"{watch.tree[event.wd]}/{event.name}")
            elif event.mask & (flags.MOVED_FROM | flags.MOVED_TO):
                stale[watch] = None

    def _look_again(self, watch: Watched) -> bool:
        try:
            self._claims.rescan(watch)
        except ScheduleError as error:
            _LOG.error("%r is watched in part only, until more happens to it: %s", watch.path, error)
            return False
        return True


def _leads_elsewhere(event: Event, watch: Watched) -> bool:
    """Whether what happened to an entry that is claimed may change what is at the path, or whether it may be read."""
    return bool(event.mask & ENTRIES) or (event.wd, event.name) in watch.unreadable.values()


def _on_way(event: Event, watch: Watched) -> bool:
    """Whether it happened to what is at or on the way to the path, not below it."""
    return event.wd == watch.end or event.wd not in watch.tree


def _absolute(path: str) -> str:
    if not path or "\0" in path:
        raise ScheduleError(f"cannot watch {path!r}: the path of a file or directory is wanted", path)
    try:
        return path if path.startswith("/") else f"{Path.cwd()}/{path}"
    except FileNotFoundError as error:
        raise ScheduleError(f"cannot watch {path!r}: the directory that it is in is gone", path) from error
