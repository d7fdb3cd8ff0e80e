"""What comes back from the application, and the wait for it."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import defaultdict
from pathlib import Path

from .app import REPORTS
from .cases import ALL, MULES, SPOOLER, WORKERS
from .server import Server


class Outcome:
    """What came back: who handled which signal, and what went wrong."""

    def __init__(self) -> None:
        self._there: set[str] = set()
        self.handled: dict[int, list[str]] = defaultdict(list)
        self.problems: list[str] = []

    def note(self, text: str) -> None:
        """Take in one report of the application."""
        word, _, rest = text.partition(" ")
        if word == "handled":
            num, who = rest.split()
            self.handled[int(num)].append(who)
        elif word == "ready":
            self._there.add(rest)
        else:
            self.problems.append(text)

    @property
    def ready(self) -> bool:
        """Whether every process is there, and worker 1 listens."""
        return self._there >= {*WORKERS, *MULES, SPOOLER, "to raise"}

    def complete(self) -> bool:
        """Whether nothing more is to be waited for."""
        return bool(self.problems) or all(case.complete(self.handled[case.num]) for case in ALL)

    def correct(self) -> bool:
        """Whether all is as it should be."""
        return not self.problems and all(case.correct(self.handled[case.num]) for case in ALL)


class Reports:
    """The socket that the application reports to."""

    def __init__(self, directory: Path, outcome: Outcome) -> None:
        self._outcome = outcome
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(directory / REPORTS))
        self._sock.setblocking(False)

    def wait(self, server: Server, deadline: float, done: str) -> bool:
        """Take in reports until the outcome is `done` ("ready" or "complete"), or the server or the time has ended."""
        with selectors.DefaultSelector() as selector:
            pidfd = os.pidfd_open(server.process.pid)
            try:
                selector.register(self._sock, selectors.EVENT_READ)
                selector.register(pidfd, selectors.EVENT_READ)
                while not self._is(done) and time.monotonic() < deadline:
                    ready = selector.select(max(0.0, deadline - time.monotonic()))
                    self.drain()
                    if any(key.fd == pidfd for key, _ in ready):
                        break
            finally:
                os.close(pidfd)
        return self._is(done)

    def drain(self) -> None:
        """Take in what has arrived."""
        while True:
            try:
                self._outcome.note(self._sock.recv(4096).decode())
            except BlockingIOError:
                return

    def close(self) -> None:
        """No more reports."""
        self._sock.close()

    def _is(self, done: str) -> bool:
        return self._outcome.ready if done == "ready" else self._outcome.complete()
