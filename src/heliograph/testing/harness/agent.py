"""The test's agent in each process of a server, and the log of handled signals.

All processes append to one log file, one line for each handled signal, so the log survives the processes. Each process
opens a connection to the test and receives jobs on it. `multiprocessing.connection` does framing, pickling and
authentication.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any, NamedTuple

from heliograph import Signal, engines, get_last_received

LOG = "HELIOGRAPH_HARNESS_LOG"
"""Environment variable: path of the log of handled signals."""
SOCKET = "HELIOGRAPH_HARNESS_SOCKET"
"""Environment variable: path of the unix socket on which the test accepts agents."""
KEY = b"heliograph harness"
"""Authentication key of the connections."""

Job = tuple[bool, Callable[..., Any], tuple[Any, ...]]
"""True to run it within a handler, the function, and its arguments."""
Outcome = tuple[bool, Any]
"""True and the result, or False and the exception."""


class Event(NamedTuple):
    """A handled signal."""

    num: int
    by: str
    """The process that handled it."""
    pid: int
    last_received: int
    """`get_last_received()` within the handler."""
    time: float
    """Seconds on the engine's monotonic clock."""
    wall: float
    """Seconds since 1970, on the engine's clock."""


def record_event(num: int) -> None:
    """Record that a signal was handled. Most signals of the application have this handler."""
    engine = engines.current()
    clock = engine.clock
    event = (num, engine.identity, os.getpid(), int(get_last_received()), clock.monotonic(), clock.time())
    _append(" ".join(map(str, event)))


_OPEN: dict[str, int] = {}
_WORDS = 6
"""Number of words of an event."""


def _append(line: str) -> None:
    path = os.environ[LOG]
    if path not in _OPEN:
        _OPEN[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    # SIGKILL may end a write between two pages of the file. The line break before keeps the next line whole.
    os.write(_OPEN[path], f"\n{line}\n".encode())


class EventLog:
    """Reads the log while the processes append to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """Return all events so far, the earliest first."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                lines = file.read().splitlines(keepends=True)
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # A process is writing it.
                self._offset += len(line)
                if len(words := line.decode().split()) == _WORDS:
                    num, by, pid, last, monotonic, wall = words
                    self._events.append(Event(int(num), by, int(pid), int(last), float(monotonic), float(wall)))
        return self._events


def block_until(path: str) -> None:
    """Block this process until a file exists, at most 30 seconds."""
    deadline = time.monotonic() + 30
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.002)


class Agent:
    """Runs the test's jobs in one process, in a thread or within a handler."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def start(self, job_signal: int) -> None:
        """Report to the test and serve jobs in a daemon thread. The handler of `job_signal` runs a job."""
        threading.Thread(target=self._serve, args=(job_signal,), name="harness-agent", daemon=True).start()

    def run_in_handler(self, job: Job, job_signal: int) -> Outcome:
        """Run a job within the handler of the job signal and return its outcome. Give up after 30 seconds."""
        self._jobs.put(job)
        for _ in range(300):
            Signal(job_signal).send()
            try:
                return self._results.get(timeout=0.1)
            except queue.Empty:
                continue  # The job still runs, or another worker received the signal.
        return False, TimeoutError("No handler ran the job.")

    def run_next_job(self) -> None:
        """Run the next job, if there is one. The handler of the job signal calls this."""
        with contextlib.suppress(queue.Empty):
            self._results.put(outcome_of(self._jobs.get_nowait()))

    def _serve(self, job_signal: int) -> None:
        with _connect() as connection:
            connection.send((str(engines.current().identity), os.getpid()))
            while True:
                select.select([connection], [], [])  # with gevent, only this wait lets the process do anything else
                try:
                    job: Job = connection.recv()
                except (EOFError, OSError):
                    return
                outcome = self.run_in_handler(job, job_signal) if job[0] else outcome_of(job)
                try:
                    connection.send(outcome)
                except Exception as error:  # noqa: BLE001 - a result that cannot be pickled is a mistake of the test
                    connection.send((False, AssertionError(f"Cannot send the outcome {outcome!r}: {error!r}")))


def _connect() -> Connection[Any, Any]:
    """Connect to the test as `multiprocessing.connection.Client` does. That fails on the sockets of gevent."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.environ[SOCKET])
        fd = sock.detach()
    os.set_blocking(fd, True)
    connection: Connection[Any, Any] = Connection(fd)
    answer_challenge(connection, KEY)
    deliver_challenge(connection, KEY)
    return connection


def outcome_of(job: Job) -> Outcome:
    """Run a job: return True and its result, or False and its exception."""
    _, func, args = job
    try:
        return True, func(*args)
    except Exception as error:  # noqa: BLE001 - the test receives every exception
        return False, error
