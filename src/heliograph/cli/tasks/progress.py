"""The progress of a long command: one line on standard error, if that is a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

_INTERVAL = 0.2
"""Seconds between two lines."""


class Progress:
    """A line that is replaced. The first one appears after a moment, so that short commands stay quiet."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = self._shown = time.monotonic()
        self._visible = False
        self._is_terminal = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        """Show how much is done."""
        share = f"{100 * done // total} %" if total else ""
        self._show(f"{self._title}: {done:,} of {total:,}  {share}")

    def tick(self) -> None:
        """Show how long it has taken, since the remaining work is unknown."""
        self._show(f"{self._title}: {time.monotonic() - self._began:.0f} s")

    def close(self) -> None:
        """Remove the line."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _show(self, text: str) -> None:
        now = time.monotonic()
        if self._is_terminal and now - self._shown >= _INTERVAL:
            self._shown = now
            self._visible = True
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()


@contextmanager
def shown_progress(title: str) -> Generator[Progress]:
    """Yield a progress to update."""
    progress = Progress(title)
    try:
        yield progress
    finally:
        progress.close()


@contextmanager
def elapsed_time(title: str) -> Generator[None]:
    """Show how long the block takes."""
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(_INTERVAL):
            progress.tick()

    with shown_progress(title) as progress:
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
