"""Start and stop servers of `lib.timer_app`, and read what their timers did."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from lib import control
from lib.processes import HERE, running, tail
from lib.servers import FLAGS
from lib.timer_app import RECORD, Timers

_T = TypeVar("_T")

_START_TIMEOUT = 60.0
"""Seconds until the timers of a server are registered and the first one has fired."""
_NAME = f"bench-timers-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class TimerPeer:
    """A way to run timers: a command that starts a server in a directory, and the binding that its application uses."""

    name: str
    binding: str
    command: Callable[[Path], list[str]]


class Ticks(NamedTuple):
    """Starts of handlers in seconds on the monotonic clock: signal -> times, earliest first."""

    by_signal: dict[int, list[float]]


class TimerServer:
    """A running server. `pid` is the process id of its master."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self._folder = folder

    def ticks(self) -> Ticks:
        """Return all ticks so far."""
        found: dict[int, list[float]] = {}
        data = (self._folder / "records").read_bytes()
        for num, at in RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]):
            found.setdefault(num, []).append(at / 1e9)
        return Ticks(found)

    def registration(self) -> tuple[float, int]:
        """Return how many seconds and kB the registration of the timers took."""
        seconds, kilobytes = json.loads((self._folder / "registration").read_text())
        return float(seconds), int(kilobytes)

    def first_run(self) -> float | None:
        """Return when the next timer is due (monotonic clock), or None while none is known. heliograph server only."""
        try:
            runs = control.next_runs(self._folder, _NAME, 1)
        except control.ConfigError:
            return None
        return float(runs[0]["at"]) - time.time() + time.monotonic() if runs else None

    def missed(self) -> tuple[int, int]:
        """Return how often timers fired and how many of these runs were left out. heliograph server only."""
        rows = control.server_state(self._folder, _NAME)["triggers"]
        return sum(row["fired"] for row in rows), sum(row["missed"] for row in rows)


def _raw(folder: Path) -> list[str]:
    command = [str(Path(sys.executable).with_name("pyuwsgi")), *FLAGS, "--mules", "1"]
    return [*command, "--socket", str(folder / "socket"), "--pythonpath", str(HERE), "--module", "lib.timer_app"]


def _heliograph(engine: str, *extra: str) -> list[str]:
    command = [sys.executable, "-m", "heliograph", "run", "lib.timer_app", "--engine", engine, "--mules", "1"]
    return [*command, *extra]


RAW = TimerPeer("uwsgi.add_timer", "raw", _raw)
ON_UWSGI = TimerPeer("heliograph on uWSGI", "heliograph", lambda _folder: _heliograph("uwsgi"))
LOCAL = TimerPeer("heliograph local", "heliograph", lambda _folder: _heliograph("local", "--name", _NAME))


@contextmanager
def timer_server(peer: TimerPeer, timers: Timers) -> Generator[TimerServer]:
    """Start a server with these timers, and stop it with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "records").touch()
        environment = {
            "BENCH_BINDING": peer.binding,
            "BENCH_TIMERS": json.dumps(asdict(timers)),
            "BENCH_RECORDS": str(folder / "records"),
            "BENCH_REGISTRATION": str(folder / "registration"),
            "XDG_RUNTIME_DIR": name,
        }
        with running(peer.command(folder), folder / "log", environment) as process:
            yield TimerServer(process.pid, folder)
            if process.poll() is not None:
                raise RuntimeError(f"server exited\n{tail(folder / 'log')}")


def wait_for(what: Callable[[], _T | None]) -> _T:
    """Call `what` until it returns a value. Raises `TimeoutError` after a minute."""
    deadline = time.monotonic() + _START_TIMEOUT
    while (found := what()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("timers were not registered in time")
        time.sleep(0.02)
    return found
