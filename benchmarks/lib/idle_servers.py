"""Servers of the smallest application, started as people start them: what they cost before they do anything."""

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

_START = 20.0
"""Seconds that a server may take until its processes are there and the first signal is handled."""


@dataclass(frozen=True, slots=True)
class Host:
    """A command that starts a server; it is given a directory of its own."""

    name: str
    binding: str
    command: Callable[[Path], list[str]]


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A server that has handled its first signal."""

    first_ms: float
    """Milliseconds from the start of the command until then."""
    roles: dict[int, str]
    """Process id -> master, template, worker or mule."""


def _raw(folder: Path) -> list[str]:
    command = [str(Path(sys.executable).with_name("pyuwsgi")), "--master", "--need-app", "--enable-threads"]
    command += ["--processes", str(WORKERS), "--mules", str(MULES), "--disable-logging"]
    return [*command, "--socket", str(folder / "socket"), "--pythonpath", str(HERE), "--module", "lib.minimal_app"]


def _heliograph(engine: str, *extra: str) -> list[str]:
    command = [sys.executable, "-m", "heliograph", "run", "lib.minimal_app", "--engine", engine]
    return [*command, "--workers", str(WORKERS), "--mules", str(MULES), *extra]


HOSTS = (
    Host("raw uwsgi", "raw", _raw),
    Host("heliograph run --engine uwsgi", "heliograph", lambda _folder: _heliograph("uwsgi")),
    Host("heliograph run", "heliograph", lambda _folder: _heliograph("local", "--name", f"bench-{os.getpid()}")),
)
"""The first is what the others are measured by."""


@contextmanager
def awake(host: Host) -> Generator[StartedServer]:
    """A server that has handled its first signal and now has nothing to do; ended with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        events, log = folder / "events", folder / "log"
        events.touch()
        environment = {"BENCH_BINDING": host.binding, "BENCH_EVENTS": str(events), "XDG_RUNTIME_DIR": name}
        before = time.monotonic_ns()
        with running(host.command(folder), log, environment) as process:
            noted = _wait(events, process, log)
            time.sleep(1)  # what starting leaves behind is over then
            first = next(at for what, _, at in noted if what == "handled")
            yield StartedServer((first - before) / 1e6, _roles(noted, process.pid))


def _wait(events: Path, process: subprocess.Popen[bytes], log: Path) -> list[tuple[str, int, int]]:
    deadline = time.monotonic() + _START
    while True:
        noted = [(what, int(pid), int(at)) for what, pid, at in map(str.split, events.read_text().splitlines())]
        if len(noted) == WORKERS + MULES + 1:
            return noted
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start: {noted}\n{tail(log)}")
        time.sleep(0.02)


def _roles(noted: list[tuple[str, int, int]], master: int) -> dict[int, str]:
    """Who did not note itself is the master, or what it forks the others from."""
    known = {pid: what for what, pid, _ in noted if what != "handled"} | {master: "master"}
    return {pid: known.get(pid, "template") for pid in session(master)}
