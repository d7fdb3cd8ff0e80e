"""File changes that a test reports, in place of those that the kernel reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Watched:
    path: Path
    recursive: bool


class SimulatedWatcher:
    """A watcher that reads no files. `report` tells it what changed."""

    def __init__(self) -> None:
        self._watched: dict[object, _Watched] = {}
        self._changed: dict[object, None] = {}

    def fileno(self) -> int:
        """Return -1: the inline engine reads changes as soon as they are reported."""
        return -1

    def watch(self, path: str, *, recursive: bool, missing_ok: bool, key: object) -> None:
        """Watch `path` for `key`, whether it exists or not."""
        del missing_ok
        self._watched[key] = _Watched(Path(path), recursive)

    def unwatch(self, key: object) -> None:
        """Stop watching for `key`."""
        self._watched.pop(key, None)

    def report(self, path: str) -> None:
        """Report a change at `path`. It concerns the path, its directory, and recursive monitors above."""
        changed = Path(path).absolute()
        for key, watched in self._watched.items():
            if watched.path in (changed, changed.parent) or (
                watched.recursive and changed.is_relative_to(watched.path)
            ):
                self._changed[key] = None

    def wait(self) -> float:
        """Return infinity: there is nothing to do without a report."""
        return math.inf

    def changed(self) -> list[object]:
        """Return the keys whose path changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed)

    def close(self) -> None:
        """Do nothing."""
