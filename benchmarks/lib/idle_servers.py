"""Servers of `lib.minimal_app`, started as users start them, to measure what an idle server costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.processes import HERE, running, session, tail

WORKERS = MULES = 2

_START_TIMEOUT = 20.0
"""Seconds until all processes of a server run and the first signal is handled."""


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """A command that starts a server in a directory."""

    name: str
    binding: str
    command: Callable[[Path], list[str]]


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A server that has handled its first signal."""

    first_ms: float
    """Milliseconds from the start of the command to the first handled signal."""
    roles: dict[int, str]
    """Process id -> master, fork server, worker or mule."""


def _raw(folder: Path) -> list[str]:
    command = [str(Path(sys.executable).with_name("pyuwsgi")), "--master", "--need-app", "--enable-threads"]
    command += ["--processes", str(WORKERS), "--mules", str(MULES), "--disable-logging"]
    return [*command, "--socket", str(folder / "socket"), "--pythonpath", str(HERE), "--module", "lib.minimal_app"]


def _heliograph(engine: str, *extra: str) -> list[str]:
    command = [sys.executable, "-m", "heliograph", "run", "lib.minimal_app", "--engine", engine]
    return [*command, "--workers", str(WORKERS), "--mules", str(MULES), *extra]


SERVERS = (
    ServerCommand("raw uwsgi", "raw", _raw),
    ServerCommand("heliograph run --engine uwsgi", "heliograph", lambda _folder: _heliograph("uwsgi")),
    ServerCommand(
        "heliograph run", "heliograph", lambda _folder: _heliograph("local", "--name", f"bench-{os.getpid()}")
    ),
)
"""The servers to compare. The first one is the reference."""


@contextmanager
def started(server: ServerCommand) -> Generator[StartedServer]:
    """Start a server, wait until it has handled its first signal and is idle, and stop it with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        events, log = folder / "events", folder / "log"
        events.touch()
        environment = {"BENCH_BINDING": server.binding, "BENCH_EVENTS": str(events), "XDG_RUNTIME_DIR": name}
        before = time.monotonic_ns()
        with running(server.command(folder), log, environment) as process:
            recorded = _wait(events, process, log)
            time.sleep(1)  # wait until the work of the start is over
            first = next(at for what, _, at in recorded if what == "handled")
            yield StartedServer((first - before) / 1e6, _roles(recorded, process.pid))


def _wait(events: Path, process: subprocess.Popen[bytes], log: Path) -> list[tuple[str, int, int]]:
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        recorded = [(what, int(pid), int(at)) for what, pid, at in map(str.split, events.read_text().splitlines())]
        if len(recorded) == WORKERS + MULES + 1:
            return recorded
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"server did not start, recorded events: {recorded}\n{tail(log)}")
        time.sleep(0.02)


def _roles(recorded: list[tuple[str, int, int]], master: int) -> dict[int, str]:
    """Map process ids to roles. The master and the fork server record no event."""
    known = {pid: what for what, pid, _ in recorded if what != "handled"} | {master: "master"}
    return {pid: known.get(pid, "fork server") for pid in session(master)}
