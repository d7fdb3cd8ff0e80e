"""What processes use: descriptors and memory, as the kernel tells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Footprint(NamedTuple):
    """What some processes use together. `rss` counts shared memory in each, `pss` its share; kB."""

    processes: int = 0
    descriptors: int = 0
    rss: int = 0
    pss: int = 0


def footprint(pids: Iterable[int]) -> Footprint:
    """What these processes use now; who has ended uses nothing."""
    found = [use for pid in pids if (use := _footprint_of(pid)) is not None]
    return Footprint(*(sum(column) for column in zip(*found, strict=True))) if found else Footprint()


def session(number: int) -> list[int]:
    """The processes of a session that have not ended."""
    pids = [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]
    return sorted(pid for pid in pids if _session_of(pid) == number)


def _session_of(pid: int) -> int:
    """The session of a process; 0 if it is gone, a zombie too."""
    try:
        # After the name, which stands in parentheses and may hold any character: state ppid pgrp session.
        state, _, _, number = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state in "ZX" else int(number)


def _footprint_of(pid: int) -> Footprint | None:
    try:
        descriptors = len(list((PROC / str(pid) / "fd").iterdir()))
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return Footprint(1, descriptors, sizes["Rss"], sizes["Pss"])
