"""The functions at the end of a process: the stop hooks, and what the application gave to `atexit`."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from heliograph._core.supervision.children import EXIT_RECYCLED

_LOG = logging.getLogger("heliograph.local")

MIN_LIMIT = 1.0
"""Seconds that the functions at the end of a process have at least."""


@contextmanager
def hooks_at_end(hooks: Callable[[], None], limit: float) -> Generator[None]:
    """Call `hooks()` after the block. End this process if that and its exit functions take longer than `limit` seconds.

    A process that the application has forked, and that returns from the handler, runs none of them.
    """
    own = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own:
            atexit._clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - `multiprocessing` uses it too
        else:
            watch = threading.Timer(max(limit, MIN_LIMIT), _give_up, (limit,))
            watch.daemon = True
            watch.start()
            hooks()


def _give_up(limit: float) -> None:
    _LOG.error("Ending process %d: its functions for the end took longer than %g s", os.getpid(), limit)
    os._exit(EXIT_RECYCLED)
