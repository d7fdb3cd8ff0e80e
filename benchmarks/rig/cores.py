"""On which cores the processes of a server run.

Where the kernel puts them decides more than which library they use: a write that wakes a process on another core costs
the writer a microsecond that one on the same core does not. Left alone it changes from one server to the next, so what
is measured in microseconds is measured in both placements.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Placement = Literal["together", "apart"]
"""All on one core; or the sender on one, and all others, the master among them, on another."""

PLACEMENTS: dict[Placement, str] = {"together": "all on one core", "apart": "the sender on a core of its own"}

_CORES = sorted(os.sched_getaffinity(0))
"""Those that this process might use before it was placed."""


def pin(placement: Placement) -> None:
    """Place this process, which is the sender, and all others of its session.

    On a machine of one core both placements are the same.
    """
    for pid in _session():
        alone = placement == "apart" and pid == os.getpid()
        os.sched_setaffinity(pid, {_CORES[-1 if alone else 0]})


def _session() -> list[int]:
    """Every process of the server: it was started in a session of its own."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [pid for pid in pids if _belongs(pid)]


def _belongs(pid: int) -> bool:
    try:
        return os.getsid(pid) == os.getsid(0)
    except ProcessLookupError:  # ended while we looked
        return False
