"""The id of this process, without a system call for each look at it."""

from __future__ import annotations

import os


class _Process:
    def __init__(self) -> None:
        self.pid = os.getpid()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.pid = os.getpid()


PROCESS = _Process()
"""This process. Its `pid` changes with a fork."""
