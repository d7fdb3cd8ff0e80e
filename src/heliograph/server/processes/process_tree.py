"""The descendants of this process, as /proc lists them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path

from heliograph.ipc.process_title import SHORT_NAME

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    name: str
    state: str
    parent: int
    group: int


def descendants_in_group(spared: Collection[int]) -> tuple[int, ...]:
    """Return the processes in the process group of this one that descend from it. Zombies are left out.

    A process in `spared` and its descendants are left out. So are processes with heliograph's short name: a fork server
    has forked one, and its report has not arrived yet.
    """
    children: dict[int, list[_Process]] = {}
    for process in _processes():
        children.setdefault(process.parent, []).append(process)
    found: list[int] = []
    parents = [os.getpid()]
    while parents:
        for child in children.get(parents.pop(), []):
            if child.pid in spared or child.name == SHORT_NAME:
                continue
            parents.append(child.pid)
            if child.group == os.getpgrp() and child.state != "Z":
                found.append(child.pid)
    return tuple(found)


def children_of(parent: int) -> frozenset[int]:
    """Return the process ids of the children of a process."""
    return frozenset(process.pid for process in _processes() if process.parent == parent)


def _processes() -> Generator[_Process]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has exited
                yield _parsed((entry / "stat").read_text(encoding="utf-8", errors="replace"))


def _parsed(stat: str) -> _Process:
    """Parse `/proc/PID/stat`, see proc(5). The name stands in parentheses, and may hold any character."""
    before, _, after = stat.rpartition(")")
    pid, _, name = before.partition(" (")
    state, parent, group = after.split()[:3]
    return _Process(int(pid), name, state, int(parent), int(group))
