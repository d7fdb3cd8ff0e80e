"""What happens in the processes on stage: jobs from the test, and a log of which signals were handled.

The log is one file that all processes append to, a line a signal, so that it outlives any of them. Jobs come over a
connection that each process opens to the test (`multiprocessing.connection`: framing, pickling and a key are its own).
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, NamedTuple

from heliograph import Signal, engines, get_last_received

LOG = "HELIOGRAPH_STAGE_LOG"
"""Environment variable: path of the log of handled signals."""
HUB = "HELIOGRAPH_STAGE_HUB"
"""Environment variable: path of the unix socket where the test waits for agents."""
KEY = b"heliograph stage"

Job = tuple[bool, Callable[..., Any], tuple[Any, ...]]
"""Whether to run it within a handler, what to call, with what."""
Outcome = tuple[bool, Any]


class Event(NamedTuple):
    """A signal that was handled: its number, by whom, and what `get_last_received()` said meanwhile; and when."""

    num: int
    by: str
    pid: int
    last_received: int
    time: float
    """Seconds on the engine's monotonic clock."""
    wall: float
    """Seconds since 1970, on the engine's clock."""


def record_event(num: int) -> None:
    """The handler that most signals on stage have: write down that it ran."""
    engine = engines.current()
    clock = engine.clock
    event = (num, engine.identity, os.getpid(), int(get_last_received()), clock.monotonic(), clock.time())
    _append(" ".join(map(str, event)))


_OPEN: dict[str, int] = {}


def _append(line: str) -> None:
    path = os.environ[LOG]
    if path not in _OPEN:
        _OPEN[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(_OPEN[path], f"{line}\n".encode())


class EventLog:
    """Reads the log as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """All that was handled so far, the earliest first."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                lines = file.read().splitlines(keepends=True)
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # it is being written
                num, by, pid, last, monotonic, wall = line.decode().split()
                self._events.append(Event(int(num), by, int(pid), int(last), float(monotonic), float(wall)))
                self._offset += len(line)
        return self._events


def block_until(path: str) -> None:
    """Keep this process busy until a file of that name appears; give up after 30 seconds."""
    deadline = time.monotonic() + 30
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.002)


class Agent:
    """The test's hand in one process: runs jobs in a thread of its own, or within a handler of this process."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def start(self, control: int) -> None:
        """Report to the test and wait for jobs, in a daemon thread; `control` makes this process run one."""
        threading.Thread(target=self._serve, args=(control,), name="stage-agent", daemon=True).start()

    def run_in_handler(self, job: Job, control: int) -> Outcome:
        """Run a job within the handler of signal `control`, and wait for its outcome at most 30 seconds."""
        self._jobs.put(job)
        for _ in range(300):
            Signal(control).send()
            try:
                return self._results.get(timeout=0.1)
            except queue.Empty:
                continue  # the job takes its time, or another process of the pool got the signal
        return False, TimeoutError("no handler ran the job")

    def run_waiting_job(self) -> None:
        """What the handler of a control signal does: run the job that waits here, if there is one."""
        with contextlib.suppress(queue.Empty):
            self._results.put(outcome_of(self._jobs.get_nowait()))

    def _serve(self, control: int) -> None:
        connection: Connection[Any, Any] = Client(os.environ[HUB], "AF_UNIX", authkey=KEY)
        with connection:
            connection.send((str(engines.current().identity), os.getpid()))
            while True:
                try:
                    job: Job = connection.recv()
                except (EOFError, OSError):
                    return
                outcome = self.run_in_handler(job, control) if job[0] else outcome_of(job)
                try:
                    connection.send(outcome)
                except Exception as failure:  # noqa: BLE001 - a result that cannot be pickled is the test's fault
                    connection.send((False, AssertionError(f"{outcome!r} cannot be sent: {failure!r}")))


def outcome_of(job: Job) -> Outcome:
    """Run a job: True and what it returned, or False and what it raised."""
    _, func, args = job
    try:
        return True, func(*args)
    except Exception as failure:  # noqa: BLE001 - whatever it is, it goes to the test
        return False, failure
