"""Watching files by their path, whichever inode is there.

Rules:

- If an entry on the way to a path is created, removed or moved, the path may lead elsewhere. The watcher looks it up
  again. That counts as a change if there was something at the path before, or is now.
- Each event of the inode at the path counts as a change. For a directory, events of its entries count as well, and with
  `recursive` those of all directories below. Links in a tree are not followed, since they could form cycles.
- What cannot be watched (a limit of the kernel, a path that is too long, no permission) is one error in the log. The
  rest stays watched. The watcher tries again when something changes there, and from time to time. If that works, it
  counts as a change, since changes may have been missed.
- A call walks a bounded part of large trees. `wait` says when to call `changed` again without an event.
- The event queue of inotify is limited (`fs.inotify.max_queued_events`). If it overflows, every path counts as changed.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from inotify_simple import Event, flags

from heliograph.exceptions import ScheduleError
from heliograph.watching.inotify import ENTRIES, ITSELF, Inotify
from heliograph.watching.path_watches import PathWatches, Watched

_LOG = logging.getLogger("heliograph.watching")

STEPS_PER_CALL = 256
"""Directories of large trees that one call looks at. They take some 10 ms."""
RETRY_INTERVAL, RETRY_AFTER_CHANGE = 60.0, 1.0
"""Seconds until the watcher tries again to watch what it could not watch: without a change there, and after one."""


class Watcher:
    """Reports which of many paths changed, through one descriptor. It does not block, and is not thread-safe.

    >>> watcher = Watcher()
    >>> watcher.watch("/", key="root")
    >>> watcher.changed()
    []
    >>> watcher.close()
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Open a watcher.

        Raises:
            ScheduleError: The system has no inotify.
        """
        self._clock = clock
        self._retries: dict[Watched, float] = {}
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
        self._continue_walks()

    def unwatch(self, key: object) -> None:
        """Stop watching for `key`, and drop its unread changes. No error if `key` watches nothing."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            self._retries.pop(watch, None)
            self._path_watches.drop(watch)

    def wait(self) -> float:
        """Return the seconds until `changed` is to be called even without an event. Infinite if there is no need."""
        if any(watch.walks for watch in self._watches.values()):
            return 0.0
        return max(0.0, min(self._retries.values(), default=math.inf) - self._clock())

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
        for watch in self._retry(changed) + self._continue_walks():
            changed[watch] = None
        return [watch.key for watch in changed]

    def close(self) -> None:
        """Close the descriptor, and stop watching."""
        for watch in self._watches.values():
            watch.walks = []
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
                self._follow(event, watch)

    def _follow(self, event: Event, watch: Watched) -> None:
        """Follow a directory that is created in a tree, or moves into or out of it."""
        if event.wd in watch.tree and event.mask & flags.ISDIR:
            path = f"{watch.tree[event.wd]}/{event.name}"
            if event.mask & (flags.CREATE | flags.MOVED_TO):
                self._path_watches.add_subtree(watch, path)
            elif event.mask & flags.MOVED_FROM:
                self._path_watches.drop_subtree(watch, path)

    def _rescan(self, watch: Watched) -> bool:
        try:
            self._path_watches.rescan(watch)
        except ScheduleError as error:
            watch.failed[watch.path] = str(error)
            self._note_failure(watch)
            return False
        if not watch.walks:
            self._note_success(watch)
        return True

    def _retry(self, changed: Iterable[Watched]) -> list[Watched]:
        """Try again to watch what could not be watched. Return the paths that are watched now, trees excluded."""
        now = self._clock()
        for watch in changed:
            if watch in self._retries:
                self._retries[watch] = min(self._retries[watch], now + RETRY_AFTER_CHANGE)
        watched: list[Watched] = []
        for watch in [watch for watch, at in self._retries.items() if at <= now]:
            self._retries[watch] = now + RETRY_INTERVAL
            if watch.path not in watch.failed:
                self._path_watches.retry(watch)
            elif self._rescan(watch) and not watch.walks:
                watched.append(watch)
        return watched

    def _continue_walks(self) -> list[Watched]:
        """Walk on in large trees, by a bounded number of steps. Return those that can be watched again."""
        steps, done = STEPS_PER_CALL, list[Watched]()
        for watch in self._watches.values():
            if watch.walks:
                steps = self._path_watches.walk(watch, steps)
                if watch.failed:
                    self._note_failure(watch)
                elif not watch.walks and self._note_success(watch):
                    done.append(watch)
        return done

    def _note_failure(self, watch: Watched) -> None:
        """Log the first failure, and plan to try again."""
        if watch not in self._retries:
            self._retries[watch] = self._clock() + RETRY_INTERVAL
            reason = next(iter(watch.failed.values()))
            _LOG.error("Watching %s only in part, trying again when it changes: %s", watch.path, reason)

    def _note_success(self, watch: Watched) -> bool:
        """Return True if something at the path could not be watched before."""
        if self._retries.pop(watch, None) is None:
            return False
        _LOG.info("Watching all of %s again", watch.path)
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
