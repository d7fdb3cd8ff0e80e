"""Who ends with whom, and who is whose parent: what the Linux kernel is asked for that `os` does not have (`prctl`)."""

from __future__ import annotations

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)


def set_parent_death_signal(parent: int, signum: int) -> None:
    """Have the kernel send this process that signal when its parent ends, however it does; end if it has already."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        raise SystemExit(1)


def set_child_subreaper(yes: bool) -> None:
    """Become the parent of what descends from this process and loses its own, or no longer."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, int(yes))
