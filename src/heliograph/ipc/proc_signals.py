"""The states of processes and threads, and the Unix signals that wait for them, as the kernel shows them in `/proc`."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SignalState:
    """A process or a thread, as far as one Unix signal is concerned."""

    name: str
    state: str
    """`R` (runs), `S` (sleeps), `D`, `T`, `t`, `Z` or `X`."""
    is_caught: bool
    """True if the process has a handler for the signal. Without one the signal would end it."""
    is_pending: bool
    """True if the signal was sent to the thread, or to the main thread of the process, and waits there."""
    is_blocked: bool
    """True if that thread blocks the signal. The kernel lets it do so while its handler runs."""


def signal_state(pid: int, signum: int, thread: int | None = None) -> SignalState | None:
    """Return the state of a process, or of one of its threads.

    None: there is none, or this process may not look at it.
    """
    path = f"/proc/{pid}/task/{thread}/status" if thread else f"/proc/{pid}/status"
    with contextlib.suppress(OSError):
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        caught, pending, blocked = (_has(fields, name, signum) for name in ("SigCgt", "SigPnd", "SigBlk"))
        return SignalState(fields.get("Name", ""), fields.get("State", "?")[:1], caught, pending, blocked)
    return None


def threads_of(pid: int) -> list[int]:
    """Return the threads of a process, the main thread first. Only that one if this process may not look at it."""
    try:
        found = [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - a path for each is not needed
    except OSError:
        found = []
    return [pid, *sorted(thread for thread in found if thread != pid)]


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


def _has(fields: dict[str, str], name: str, signum: int) -> bool:
    return bool(int(fields.get(name, "0"), 16) >> (signum - 1) & 1)
