"""Watching files by their path, whichever inode is there.

Rules:

- If an entry on the way to a path is created, removed or moved, the path may lead elsewhere. The watcher looks it up
  again. That counts as a change if there was something at the path before, or is now.
- Each event of the inode at the path counts as a change. For a directory, events of its entries count as well, and with
  `recursive` those of all directories below. Links in a tree are not followed, since they could form cycles.
- The event queue of inotify is limited (`fs.inotify.max_queued_events`). If it overflows, every path counts as changed.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from inotify_simple import Event, flags

from heliograph.exceptions import ScheduleError
from heliograph.watching.inotify import ENTRIES, ITSELF, Inotify
from heliograph.watching.path_watches import PathWatches, Watched

_LOG = logging.getLogger("heliograph.watching")


class Watcher:
    """Reports which of many paths changed, through one descriptor. It does not block, and is not thread-safe.

    >>> watcher = Watcher()
    >>> watcher.watch("/", key="root")
    >>> watcher.changed()
    []
    >>> watcher.close()
    """

    def __init__(self) -> None:
        """Open a watcher.

        Raises:
            ScheduleError: The system has no inotify.
        """
        self._inotify = Inotify()
        self._path_watches = PathWatches(self._inotify)
        self._watches: dict[object, Watched] = {}

    def fileno(self) -> int:
        """Return a descriptor that is readable while there may be changes to read."""
        return self._inotify.fileno()

    def watch(self, path: str, *, recursive: bool = False, missing_ok: bool = False, key: object) -> None:
        """Watch `path` for `key`, in place of the earlier path of `key`. A change just before may still be reported.

        Raises:
            ScheduleError: The path is empty, or missing without `missing_ok`, or its directory is not readable, or the
                limit `fs.inotify.max_user_watches` is reached. The earlier path stays watched.
        """
        watch = Watched(key, _absolute(path), recursive)
        with contextlib.ExitStack() as undo:
            undo.callback(self._path_watches.drop, watch)
            self._path_watches.rescan(watch)
            if watch.end is None and not missing_ok:
                raise ScheduleError(f"path to watch is missing: {path!r}. Create it, or pass missing_ok=True.", path)
            undo.pop_all()
        self.unwatch(key)
        self._watches[key] = watch

    def unwatch(self, key: object) -> None:
        """Stop watching for `key`, and drop its unread changes. No error if `key` watches nothing."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            self._path_watches.drop(watch)

    def changed(self) -> list[object]:
        """Return the keys whose path changed since the last call, each once. Does not block."""
        changed: dict[Watched, None] = {}
        stale: dict[Watched, None] = {}
        for event in self._inotify.read():
            self._sort(event, changed, stale)
        for watch in stale:
            existed = watch.end is not None
            if not self._rescan(watch) or existed or watch.end is not None:
                changed[watch] = None
        return [watch.key for watch in changed]

    def close(self) -> None:
        """Close the descriptor, and stop watching."""
        self._watches.clear()
        self._inotify.close()

    def _sort(self, event: Event, changed: dict[Watched, None], stale: dict[Watched, None]) -> None:
        watched = self._path_watches.of(event.wd)
        if event.mask & flags.Q_OVERFLOW:
            everything = dict.fromkeys(self._watches.values())
            changed |= everything
            stale |= everything
        elif event.mask & flags.IGNORED:
            self._path_watches.forget(event.wd)
        else:
            stale |= {watch: None for watch in watched.get(event.name, ()) if _leads_elsewhere(event, watch)}
            if event.mask & ITSELF:
                stale |= {watch: None for watches in watched.values() for watch in watches if _on_way(event, watch)}
            for watch in tuple(watched.get(None, ())):
                changed[watch] = None
                self._follow(event, watch, stale)

    def _follow(self, event: Event, watch: Watched, stale: dict[Watched, None]) -> None:
        """Follow a directory that is created in a tree, or moves into or out of it."""
        if event.wd in watch.tree and event.mask & flags.ISDIR:
            if event.mask & flags.CREATE:
                self._path_watches.add_subtree(watch, f"{watch.tree[event.wd]}/{event.name}")
            elif event.mask & (flags.MOVED_FROM | flags.MOVED_TO):
                stale[watch] = None

    def _rescan(self, watch: Watched) -> bool:
        try:
            self._path_watches.rescan(watch)
        except ScheduleError as error:
            _LOG.error("Watching %s only in part until it changes again: %s", watch.path, error)
            return False
        return True


def _leads_elsewhere(event: Event, watch: Watched) -> bool:
    """Return True if the event of an entry may change what is at the path, or its permissions."""
    return bool(event.mask & ENTRIES) or (event.wd, event.name) in watch.unreadable.values()


def _on_way(event: Event, watch: Watched) -> bool:
    """Return True if the event concerns an inode at the path or on the way to it, not below it."""
    return event.wd == watch.end or event.wd not in watch.tree


def _absolute(path: str) -> str:
    if not path or "\0" in path:
        raise ScheduleError(f"invalid path to watch: {path!r}. Pass the path of a file or directory.", path)
    try:
        return path if path.startswith("/") else f"{Path.cwd()}/{path}"
    except FileNotFoundError as error:
        raise ScheduleError(
            f"cannot watch {path!r}: the current directory is gone. Pass an absolute path.", path
        ) from error
