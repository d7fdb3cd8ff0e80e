"""The interface that the tests use: the same for a real server and for the inline engine."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heliograph import Signal
from heliograph.testing.harness.agent import Event, EventLog, Job, block_until
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.signals import Handler

TIMEOUT = 20.0
"""Seconds that a test waits for an event before it fails."""

ALL_PROCESSES = ["worker1", "worker2", "mule1", "mule2", "spooler1"]
"""The processes of a server with `Capability.MULES`."""


def eventually(what: str, happened: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Wait until `happened()` returns a true value, and return that value.

    Raises:
        AssertionError: It did not happen within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = happened()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Timed out after {timeout:g} s, waiting for {what}.")
        time.sleep(0.005)


class Harness(ABC):
    """A server under test."""

    def __init__(self, name: str, capabilities: frozenset[Capability], directory: Path) -> None:
        self.name = name
        self.capabilities = capabilities
        self.directory = directory
        self.log = directory / "handled"
        self.unblock_file = directory / "unblock"
        self.remote: str | None = None
        """Address of the server's uwsgi socket."""
        self._log = EventLog(self.log)
        self._serial = itertools.count()

    @abstractmethod
    def run(self, process: str, job: Job) -> Any:
        """Run a job in a process. Return its result or raise its exception."""

    def can(self, capability: Capability) -> bool:
        """Return True if the server has this capability."""
        return capability in self.capabilities

    def call(self, process: str, func: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a process, outside of handlers."""
        return self.run(process, (False, func, args))

    def handle(self, process: str, func: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a process, within a handler."""
        return self.run(process, (True, func, args))

    def advance_time(self, seconds: float) -> None:  # noqa: B027 - a real server uses real time
        """Advance the clock, if it is a fake clock."""

    def notify_file_change(self, path: Path) -> None:  # noqa: B027 - a real server watches the file
        """Report a changed file, if the server does not watch files."""

    def end_process(self, process: str) -> None:
        """Let a handler end this process, mule 2, by `SystemExit`. The server replaces it."""
        assert process == "mule2"
        self.call("worker1", _send, Handler.EXITING)

    def events(self, *nums: int) -> list[Event]:
        """Return the events so far, the earliest first. With numbers: only the events of these signals."""
        return [event for event in self._log.events() if event.num in nums or not nums]

    def expect(self, count: int, *nums: int, since: int = 0) -> list[Event]:
        """Wait for `count` events of these signals after the first `since`, and return all after those."""
        wanted = f"{count} events of the signals {[int(num) for num in nums]}"
        eventually(wanted, lambda: len(self.events(*nums)) >= since + count)
        return self.events(*nums)[since:]

    def new_path(self, name: str) -> Path:
        """Return a path in the directory of the server that does not exist yet."""
        return self.directory / f"{name}-{next(self._serial)}"

    @contextmanager
    def busy(self, process: str) -> Generator[None]:
        """Block a process within a handler while the block runs."""
        started, unblock = self.new_path("started"), self.new_path("unblock")
        thread = threading.Thread(target=self._block, args=(process, started, unblock))
        thread.start()
        try:
            eventually(f"the handler in {process} to start", started.exists)
            yield
        finally:
            unblock.touch()
            thread.join()

    def _block(self, process: str, started: Path, unblock: Path) -> None:
        with contextlib.suppress(EOFError, OSError):  # The server may replace the process before it answers.
            self.handle(process, _report_and_block, str(started), str(unblock))


def _send(num: int) -> None:
    Signal(num).send()


def _report_and_block(started: str, unblock: str) -> None:
    Path(started).touch()
    block_until(unblock)


def result_of(outcome: tuple[bool, Any]) -> Any:
    """Return the result of a job or raise its exception."""
    succeeded, result = outcome
    if succeeded:
        return result
    raise result
