"""What is watched for whom: the way to each path, and what is at its end.

A path is what the kernel makes of it: entries of directories, looked up one by one, through links, to what is there.
Each of these entries is claimed in its directory *before* it is looked up, so that nothing happens between two looks.
An inode is watched once, however many paths lead to or through it, and no longer than one does. One that may not be
read cannot be: then the directory that it is in tells of it, and when its rights change it is looked at again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inotify_simple import flags

from heliograph.exceptions import ScheduleError
from heliograph.watching.inotify import CONTENT, ENTRIES, ITSELF, Inotify

_MAX_LINKS = 40
"""Links that a path may lead through; the kernel's own number (`MAXSYMLINKS`)."""

_NOBODY: Mapping[str | None, set[Watched]] = {}

Claim = tuple[int, str | None]
"""An inode by its number, and the name of the entry in it that matters; None: all of it."""


@dataclass(eq=False, slots=True)
class Watched:
    """An absolute path, and what is watched for it."""

    key: object
    path: str
    recursive: bool
    watches: set[Claim] = field(default_factory=set[Claim])
    end: int | None = None
    """The inode that tells of what is at the path; None while nothing is there."""
    tree: dict[int, str] = field(default_factory=dict[int, str])
    """The directories at and below it, and where they are; only if it is recursive."""
    unreadable: dict[str, Claim] = field(default_factory=dict[str, Claim])
    """What may not be read, where it is, and the entry that tells of it."""


class PathWatches:
    """Who claims which inode."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._claimed: dict[int, dict[str | None, set[Watched]]] = {}

    def of(self, wd: int) -> Mapping[str | None, set[Watched]]:
        """Who claims that inode, by the name of the entry that they claim."""
        return self._claimed.get(wd, _NOBODY)

    def rescan(self, watch: Watched) -> None:
        """Claim what is at the path now and on the way to it, then let go of what is no longer.

        Raises `ScheduleError` if that cannot be watched; what was claimed before still is.
        """
        before, watch.watches, watch.end, watch.tree = watch.watches, set(), None, {}
        watch.unreadable = {}
        try:
            self._watch_target(watch, self._walk(watch))
        except ScheduleError:
            watch.watches |= before
            raise
        self._release(watch, before - watch.watches)

    def add_subtree(self, watch: Watched, top: str) -> None:
        """Claim the directories at and below `top`, each before it is looked into; links are not followed."""
        ahead = [top]
        while ahead:
            here = ahead.pop()
            with contextlib.suppress(OSError):  # no directory, gone meanwhile, or not ours to read: the others matter
                wd = self._add_watch(watch, here, CONTENT | ENTRIES | ITSELF | flags.ONLYDIR, None)
                watch.tree[wd] = here
                with os.scandir(here) as entries:
                    ahead += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]

    def drop(self, watch: Watched) -> None:
        """Release all that is claimed for it."""
        self._release(watch, watch.watches)

    def forget(self, wd: int) -> None:
        """That inode is gone, and its number."""
        for name, watches in self._claimed.pop(wd, _NOBODY).items():
            for watch in watches:
                watch.watches.discard((wd, name))
                watch.tree.pop(wd, None)

    def _walk(self, watch: Watched) -> str | None:
        """Claim the way; where it leads, free of links, or None if it leads nowhere."""
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
        """Claim an entry and look it up: what it links to, "" if it is no link, None if there is none."""
        try:
            with contextlib.suppress(PermissionError):  # the next one still tells that it goes
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
            return  # it went meanwhile, and the claim on its entry tells
        if watch.recursive:
            self.add_subtree(watch, end)

    def _watch_parent(self, watch: Watched, end: str, error: PermissionError) -> None:
        """Of a file that may not be read its directory tells enough; of a directory it does not."""
        barred = watch.unreadable.get(end)
        watch.end = barred and barred[0]
        if barred is None or Path(end).is_dir():
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
        with contextlib.suppress(OSError):  # that may not be read either, or is gone
            wd = self._inotify.add(above or "/", CONTENT | ENTRIES | ITSELF | flags.ONLYDIR)
            watch.unreadable[path] = (wd, name)
            self._enter(watch, (wd, name))

    def _enter(self, watch: Watched, claim: Claim) -> None:
        wd, name = claim
        self._claimed.setdefault(wd, {}).setdefault(name, set()).add(watch)
        watch.watches.add(claim)

    def _release(self, watch: Watched, claims: Iterable[Claim]) -> None:
        for wd, name in claims:
            names = self._claimed[wd]
            names[name].discard(watch)
            if not names[name]:
                del names[name]
            if not names:
                del self._claimed[wd]
                self._inotify.remove(wd)


def _names(path: str) -> list[str]:
    """The names that lead along `path`, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
