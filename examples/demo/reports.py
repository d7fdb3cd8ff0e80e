"""Receive reports from the application."""

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
    """The processes that handled each signal, and the errors."""

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self.port = 0
        """Port at which worker 1 serves requests. 0: not yet."""
        self.handled: dict[int, list[str]] = defaultdict(list)
        self.problems: list[str] = []

    def add(self, text: str) -> None:
        """Add a report of the application."""
        word, _, rest = text.partition(" ")
        if word == "handled":
            num, process = rest.split()
            self.handled[int(num)].append(process)
        elif word == "ready":
            self._ready.add(rest)
        elif word == "listening":
            self.port = int(rest)
        else:
            self.problems.append(text)

    @property
    def ready(self) -> bool:
        """True if every process has started, and worker 1 accepts commands and requests."""
        return bool(self.port) and self._ready >= {*WORKERS, *MULES, SPOOLER, "to send"}

    def forget_processes(self) -> None:
        """Note that the server was killed."""
        self._ready.clear()
        self.port = 0

    def complete(self) -> bool:
        """Return True if no more reports are expected."""
        return bool(self.problems) or all(case.complete(self.handled[case.num]) for case in ALL)

    def correct_cases(self) -> int:
        """Return how many signals the expected processes have handled."""
        return sum(case.correct(self.handled[case.num]) for case in ALL)

    def correct(self) -> bool:
        """Return True if the expected processes have handled all signals, without errors."""
        return not self.problems and self.correct_cases() == len(ALL)


class Reports:
    """The socket that receives the reports."""

    def __init__(self, directory: Path, outcome: Outcome) -> None:
        self._outcome = outcome
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(directory / REPORTS))
        self._sock.setblocking(False)

    def wait(self, server: Server, deadline: float, done: str) -> bool:
        """Receive reports until the outcome is `done` ("ready" or "complete"), the server exits or the time is over."""
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
        """Receive the reports that have arrived."""
        while True:
            try:
                self._outcome.add(self._sock.recv(4096).decode())
            except BlockingIOError:
                return

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _is(self, done: str) -> bool:
        return self._outcome.ready if done == "ready" else self._outcome.complete()
