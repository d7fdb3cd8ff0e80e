"""Inject faults into the surroundings of a server, one at a time, each for less than a second.

descriptors        the master, or a fork server, gets no further descriptor
processes          the master, or a fork server, starts no further process
stopped master     the master gets SIGSTOP
full disk          no process of the server can write to the log
closed descriptors a mule or the spooler closes all of its descriptors, and exits
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from .resources import PROC
from .server import Server

Undo = Callable[[], None]

DURATIONS = (0.2, 0.8)
"""Bounds for the duration of a fault in seconds."""
PAUSES = (0.1, 0.6)
"""Bounds for the time between two faults in seconds."""


class Surroundings:
    """Faults of the surroundings, in random order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._active: Undo | None = None
        self._next = 0.0
        self._kinds: list[tuple[str, Callable[[], Undo]]] = []
        self.counts: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """The number of faults so far."""
        return self.counts.total()

    @property
    def active(self) -> bool:
        """True while a fault lasts."""
        return self._active is not None

    def step(self, now: float, *, more: bool) -> None:
        """End a fault whose time is over, or begin one if it is due and `more` are wanted."""
        if now < self._next:
            return
        if self._active is not None:
            self.end()
            self._next = now + random.uniform(*PAUSES)  # noqa: S311 - not for cryptography
        elif more:
            kind, begin = self._take()
            self._active = begin()
            self.counts[kind] += 1
            self._next = now + random.uniform(*DURATIONS)  # noqa: S311 - not for cryptography

    def end(self) -> None:
        """End the fault that lasts, if any."""
        undo, self._active = self._active, None
        if undo is not None:
            undo()

    def _take(self) -> tuple[str, Callable[[], Undo]]:
        """Return a kind. All kinds come equally often."""
        if not self._kinds:
            self._kinds = [
                ("descriptors", self._limit_descriptors),
                ("processes", self._limit_processes),
                ("stopped master", self._stop_master),
                ("full disk", self._fill_disk),
                ("closed descriptors", self._close_descriptors),
            ]
            random.shuffle(self._kinds)
        return self._kinds.pop()

    def _limit_descriptors(self) -> Undo:
        pid = self._one_that_starts_processes()
        return self._limit(resource.RLIMIT_NOFILE, [pid], _highest_descriptor(pid) + random.randrange(4))  # noqa: S311 - not for cryptography

    def _limit_processes(self) -> Undo:
        return self._limit(resource.RLIMIT_NPROC, [self._one_that_starts_processes()], 1)

    def _fill_disk(self) -> Undo:
        return self._limit(resource.RLIMIT_FSIZE, self._server.remaining(), self._server.log_size)

    def _stop_master(self) -> Undo:
        os.kill(self._server.master, signal.SIGSTOP)
        return lambda: os.kill(self._server.master, signal.SIGCONT)

    def _close_descriptors(self) -> Undo:
        self._server.close_descriptors()
        return lambda: None

    def _one_that_starts_processes(self) -> int:
        fork_servers = [pid for pid in self._server.remaining() if "fork server" in _title(pid)]
        return random.choice([self._server.master, *fork_servers])  # noqa: S311 - not for cryptography

    def _limit(self, kind: int, pids: Iterable[int], value: int) -> Undo:
        """Set the soft limit of these processes. The undo also covers processes that they have started."""
        before, hard = resource.prlimit(self._server.master, kind)
        for pid in pids:
            _set_limit(pid, kind, value, hard)

        def undo() -> None:
            for pid in self._server.remaining():
                _set_limit(pid, kind, before, hard)

        return undo


def _set_limit(pid: int, kind: int, soft: int, hard: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has exited
        resource.prlimit(pid, kind, (soft, hard))


def _highest_descriptor(pid: int) -> int:
    try:
        return max(int(path.name) for path in (PROC / str(pid) / "fd").iterdir())
    except (OSError, ValueError):
        return 3


def _title(pid: int) -> str:
    try:
        return (Path(PROC) / str(pid) / "cmdline").read_text(errors="replace")
    except OSError:
        return ""
