"""On which cores the processes of a server run.

Where the kernel puts them decides more than which library they use: a write that wakes a process on another core costs
the writer a microsecond that one on the same core does not. Left alone it changes from one server to the next, so what
is measured in microseconds is measured in all placements.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from lib.processes import session

Placement = Literal["together", "apart", "free"]
"""All on one core; the sender on one, and all others, the master among them, on another; wherever the kernel likes."""

PLACEMENTS: dict[Placement, str] = {
    "together": "all on one core",
    "apart": "the sender on a core of its own",
    "free": "not pinned",
}

_CORES = sorted(os.sched_getaffinity(0))
"""Those that this process might use before it was placed."""


@contextmanager
def placed(server: Iterable[int], placement: Placement) -> Generator[None]:
    """Place the processes of a server with all their threads, and on the other core what this process starts."""
    for pid in server:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), _CORES if placement == "free" else {_CORES[0]})
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_CORES[-1]} if placement == "apart" else before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(placement: Placement) -> None:
    """Place this process, which is the sender, and all others of its session.

    On a machine of one core both placements are the same.
    """
    for pid in session(os.getsid(0)):
        alone = placement == "apart" and pid == os.getpid()
        os.sched_setaffinity(pid, _CORES if placement == "free" else {_CORES[-1 if alone else 0]})
