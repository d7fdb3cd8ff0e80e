"""The state of another process, and the Unix signals that wait for it, as the kernel shows them under `/proc`."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SignalState:
    """A process, as far as one Unix signal is concerned."""

    state: str
    """State of the process: `R` (runs), `S` (sleeps), `D`, `T`, `t`, `Z` or `X`."""
    is_caught: bool
    """True if the process has a handler for the signal. Without one the signal would end it."""
    is_pending: bool
    """True if the signal was sent and waits for a thread of the process."""


def signal_state(pid: int, signum: int) -> SignalState | None:
    """Return the state of a process. None: there is no such process, or this one may not look at it."""
    fields = _fields(f"/proc/{pid}/status")
    if fields is None:
        return None
    pending = _has(fields, "ShdPnd", signum) or _has(fields, "SigPnd", signum)
    return SignalState(fields.get("State", "?")[:1], _has(fields, "SigCgt", signum), pending)


def blocking_threads(pid: int, signum: int) -> frozenset[int]:
    """Return the threads of a process that block a signal now. The kernel lets a thread do so while its handler runs.

    A thread that has exited in the meantime does not count.
    """
    found: set[int] = set()
    for thread in _threads(pid):
        fields = _fields(f"/proc/{pid}/task/{thread}/status")
        if fields is not None and _has(fields, "SigBlk", signum):
            found.add(thread)
    return frozenset(found)


def is_blocked_everywhere(pid: int, signum: int) -> bool:
    """Return True if all threads of a process block a signal."""
    threads = _threads(pid)
    return bool(threads) and blocking_threads(pid, signum) >= set(threads)


def has_descriptor(pid: int, fd: int, own_fd: int) -> bool | None:
    """Return True if a descriptor of another process is the file of one of this process. None: it cannot be seen."""
    mine = os.fstat(own_fd)
    try:
        found = Path(f"/proc/{pid}/fd/{fd}").stat()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - a path for each is not needed
    except OSError:
        return []


def _fields(path: str) -> dict[str, str] | None:
    with contextlib.suppress(OSError):
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return None


def _has(fields: dict[str, str], name: str, signum: int) -> bool:
    return bool(int(fields.get(name, "0"), 16) >> (signum - 1) & 1)
