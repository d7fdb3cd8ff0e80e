"""Wrappers for the two options of `prctl(2)` that `os` lacks."""

from __future__ import annotations

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)


def set_parent_death_signal(parent: int, signum: int) -> None:
    """Let the kernel send `signum` to this process when its parent exits. Exit now if the parent has exited already."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        raise SystemExit(1)


def set_child_subreaper(enabled: bool) -> None:
    """Make this process the parent of descendants whose parent exits, or stop doing so."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, int(enabled))
