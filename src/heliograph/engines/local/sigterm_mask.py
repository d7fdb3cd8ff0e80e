"""SIGTERM during a fork: it stays pending until the child has removed the handler of its parent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable


class _SignalMask(threading.local):
    before: Iterable[int] = ()


_MASK = _SignalMask()


def block_sigterm() -> None:
    """Before a fork, keep SIGTERM pending until the child has removed our handler for it."""
    _MASK.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def unblock_sigterm() -> None:
    """Restore the mask in the parent, and in the child after its hooks."""
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASK.before)
