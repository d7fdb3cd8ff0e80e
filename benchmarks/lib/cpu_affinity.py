"""Pin the processes of a server to cores.

The kernel's choice of cores affects the results more than the library does: a write that wakes a process on another
core costs the writer about a microsecond more. Without pinning the choice differs from one server to the next. The
scenarios that measure microseconds therefore use all placements.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from lib.processes import session

Placement = Literal["same_core", "separate_cores", "unpinned"]
"""Placement of the processes of a server.

`same_core`: all on one core. `separate_cores`: the sender on one core, all other processes (including the master) on
another. `unpinned`: the kernel decides.
"""

PLACEMENTS: dict[Placement, str] = {
    "same_core": "all on one core",
    "separate_cores": "the sender on a core of its own",
    "unpinned": "not pinned",
}

_CORES = sorted(os.sched_getaffinity(0))
"""Cores that this process was allowed to use at the start."""


@contextmanager
def placed(server: Iterable[int], placement: Placement, senders: Iterable[int] = ()) -> Generator[None]:
    """Pin a server's processes and threads, and pin the senders and what this process starts to the other core."""
    for pids, core in ((server, _CORES[0]), (senders, _CORES[-1])):
        for thread in (thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()):
            os.sched_setaffinity(int(thread.name), _CORES if placement == "unpinned" else {core})
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_CORES[-1]} if placement == "separate_cores" else before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(placement: Placement) -> None:
    """Pin this process, which is the sender, and all other processes of its session.

    On a machine with one core, `same_core` and `separate_cores` are the same.
    """
    for pid in session(os.getsid(0)):
        alone = placement == "separate_cores" and pid == os.getpid()
        with suppress(ProcessLookupError):  # it has exited in the meantime
            os.sched_setaffinity(pid, _CORES if placement == "unpinned" else {_CORES[-1 if alone else 0]})
