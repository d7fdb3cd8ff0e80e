"""Print progress and the results of checks."""

from __future__ import annotations

import time


class Report:
    """Print progress and checks, and keep the failed checks."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._printed_at = 0.0

    def progress(self, text: str) -> None:
        """Print a line, but at most one every five seconds."""
        if time.monotonic() - self._printed_at >= 5:
            self._printed_at = time.monotonic()
            print(f"  {text}", flush=True)

    def check(self, what: str, *, passed: bool) -> None:
        """Print a check and its result."""
        print(f"  {'ok    ' if passed else 'FAILED'}  {what}", flush=True)
        if not passed:
            self.failed.append(what)
