"""SIGTERM in a fork server, and in a process of the server until its receiver handles it.

A supervisor may send SIGTERM to every process of the server at once. The master decides how the server stops, so the
fork server stays until the master tells it to exit. A process that it forks remembers SIGTERM, and drains as soon as
it has a receiver. A process that the application forks gets the default action, so that the application can end it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _State:
    received: bool = False
    keep: bool = False


_STATE = _State()


def install() -> None:
    """Remember SIGTERM from now on. Call it before an engine exists.

    An engine blocks SIGTERM during a fork. Its hook runs after the one that is registered here.
    """
    signal.signal(signal.SIGTERM, _remember)
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def kept_in_child() -> Generator[None]:
    """Fork a process of the server: it remembers SIGTERM too."""
    _STATE.received, _STATE.keep = False, True
    try:
        yield
    finally:
        _STATE.keep = False


def received() -> bool:
    """Return True if this process got SIGTERM since it was forked."""
    return _STATE.received


def _remember(_signum: int, _frame: object) -> None:
    _STATE.received = True


def _after_fork() -> None:
    if not _STATE.keep and signal.getsignal(signal.SIGTERM) is _remember:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
