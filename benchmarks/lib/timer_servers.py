"""Servers of `lib.timer_app`: started, left alone while their timers tick, looked at, ended."""

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
from typing import Any, NamedTuple, TypeVar

from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import request
from lib.processes import HERE, running, tail
from lib.servers import FLAGS
from lib.timer_app import RECORD, Timers

_T = TypeVar("_T")

_START = 60.0
"""Seconds that a server may take until its timers are known, and the first tick of a second has come."""
_NAME = f"bench-ticks-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Clockwork:
    """A command that starts a server, whose application uses that binding; it is given a directory of its own."""

    name: str
    binding: str
    command: Callable[[Path], list[str]]


class Ticks(NamedTuple):
    """When handlers started, in seconds on the monotonic clock: signal -> times, the earliest first."""

    by_signal: dict[int, list[float]]


class Ticking:
    """A server that runs; `pid` is its master's."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self._folder = folder

    def ticks(self) -> Ticks:
        """All so far."""
        found: dict[int, list[float]] = {}
        data = (self._folder / "records").read_bytes()
        for num, at in RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]):
            found.setdefault(num, []).append(at / 1e9)
        return Ticks(found)

    def declared(self) -> tuple[float, int]:
        """Seconds and kilobytes that it took to declare the timers."""
        took, kilobytes = json.loads((self._folder / "declared").read_text())
        return float(took), int(kilobytes)

    def first_run(self) -> float | None:
        """Of our own server: when the next timer is due, on the monotonic clock; None while none is known."""
        try:
            runs = self._ask("next", count=1)["next"]
        except ConfigError:
            return None
        return float(runs[0][0]) - time.time() + time.monotonic() if runs else None

    def missed(self) -> tuple[int, int]:
        """Of our own server: how many ticks there were in all, and how many of them were left out."""
        rows = self._ask("signals")["triggers"]
        return sum(row["fired"] for row in rows), sum(row["missed"] for row in rows)

    def _ask(self, do: str, **details: int) -> dict[str, Any]:
        return request(self._folder / "heliograph" / f"{_NAME}.sock", {"do": do, **details})


def _raw(folder: Path) -> list[str]:
    command = [str(Path(sys.executable).with_name("pyuwsgi")), *FLAGS, "--mules", "1"]
    return [*command, "--socket", str(folder / "socket"), "--pythonpath", str(HERE), "--module", "lib.timer_app"]


def _heliograph(engine: str, *extra: str) -> list[str]:
    command = [sys.executable, "-m", "heliograph", "run", "lib.timer_app", "--engine", engine, "--mules", "1"]
    return [*command, *extra]


RAW = Clockwork("uwsgi.add_timer", "raw", _raw)
ON_UWSGI = Clockwork("heliograph on uWSGI", "heliograph", lambda _folder: _heliograph("uwsgi"))
LOCAL = Clockwork("heliograph local", "heliograph", lambda _folder: _heliograph("local", "--name", _NAME))


@contextmanager
def ticking(clockwork: Clockwork, timers: Timers) -> Generator[Ticking]:
    """A server with these timers, ended with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "records").touch()
        environment = {
            "BENCH_BINDING": clockwork.binding,
            "BENCH_TICKS": json.dumps(asdict(timers)),
            "BENCH_RECORDS": str(folder / "records"),
            "BENCH_DECLARED": str(folder / "declared"),
            "XDG_RUNTIME_DIR": name,
        }
        with running(clockwork.command(folder), folder / "log", environment) as process:
            yield Ticking(process.pid, folder)
            if process.poll() is not None:
                raise RuntimeError(f"the server has ended\n{tail(folder / 'log')}")


def await_first(what: Callable[[], _T | None]) -> _T:
    """Wait until there is one. Raises `TimeoutError` after a minute."""
    deadline = time.monotonic() + _START
    while (found := what()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the server's timers are not there")
        time.sleep(0.02)
    return found
