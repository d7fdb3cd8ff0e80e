"""Descriptors and memory of processes, read from `/proc`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Usage(NamedTuple):
    """Sums over processes, in kB. `rss` counts shared memory in each process, `pss` divides it among them."""

    processes: int = 0
    descriptors: int = 0
    rss: int = 0
    pss: int = 0


def usage(pids: Iterable[int]) -> Usage:
    """Return what these processes use now. Processes that have exited are left out."""
    found = [used for pid in pids if (used := _usage_of(pid)) is not None]
    return Usage(*(sum(column) for column in zip(*found, strict=True))) if found else Usage()


def session(number: int) -> list[int]:
    """Return the running processes of a session."""
    pids = [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]
    return sorted(pid for pid in pids if _session_of(pid) == number)


def _session_of(pid: int) -> int:
    """Return the session of a process, or 0 if it has exited or is a zombie."""
    try:
        # Fields after the name, which is in parentheses and can contain any character: state ppid pgrp session.
        state, _, _, number = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state in "ZX" else int(number)


def _usage_of(pid: int) -> Usage | None:
    try:
        descriptors = len(list((PROC / str(pid) / "fd").iterdir()))
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return Usage(1, descriptors, sizes["Rss"], sizes["Pss"])
