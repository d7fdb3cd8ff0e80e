"""Web servers that serve `lib.web_app`, alone or beside heliograph: started, asked, signalled, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import request
from heliograph.remote import send_signal
from lib.processes import HERE, running, session, tail
from lib.web_app import PACE, REPLACE

WORKERS = 2

_START, _HANDLE = 20.0, 20.0
"""Seconds until a server serves and its workers have joined, and until the last signal is handled."""
_NAME = f"bench-web-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class WebServer:
    """A server of two processes; `flags` are what its command has but for the address."""

    name: str
    command: str
    flags: Sequence[str]
    closes: bool = False
    """Whether to have it close the connection after each request."""

    def at(self, port: int) -> list[str]:
        """The command that serves there."""
        where = ["--bind", f"127.0.0.1:{port}"] if self.command == "gunicorn" else ["--port", str(port)]
        return [str(_program(self.command)), *self.flags, *where]


_TWO = ("--workers", str(WORKERS))

SYNC = WebServer("gunicorn sync", "gunicorn", ("lib.web_app:wsgi", *_TWO))
GTHREAD = WebServer("gunicorn gthread", "gunicorn", ("lib.web_app:wsgi", *_TWO, "--threads", "4"))
UVICORN = WebServer("uvicorn", "uvicorn", ("lib.web_app:asgi", *_TWO, "--no-access-log"), closes=True)
GRANIAN = WebServer("granian", "granian", ("lib.web_app:asgi", *_TWO, "--interface", "asgi"))

WEB_SERVERS = (SYNC, GTHREAD, UVICORN, GRANIAN)


def versions() -> str:
    """Of all that are measured."""
    return ", ".join(f"{name} {version(name)}" for name in dict.fromkeys(server.command for server in WEB_SERVERS))


def missing() -> list[str]:
    """The commands that are not installed here."""
    return sorted({server.command for server in WEB_SERVERS if not _program(server.command).exists()})


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the signals that the workers handle, at a moment."""

    at: float
    """Seconds, monotonic."""
    sent: int
    done: int
    paced: int
    """How often the mule has finished a run of them."""
    wrong: int
    """Failed, redelivered, dropped or refused."""


class Serving:
    """A web server that serves; `port` is of 127.0.0.1."""

    def __init__(self, port: int, master: int, folder: Path) -> None:
        """`master` is the process that was started."""
        self.port = port
        self._master = master
        self._folder = folder

    @property
    def processes(self) -> list[int]:
        """All of them."""
        return session(self._master)

    def workers(self, *, joined: bool) -> list[int]:
        """Those that serve; `joined` where they are heliograph's workers."""
        if joined:
            return [pid for who, pid in self._state()["processes"].items() if who.startswith("worker")]
        return [pid for pid in self.processes if _parent(pid) == self._master]

    def counts(self) -> Counts:
        """Beside heliograph: what `heliograph signals --json` shows."""
        state = self._state()
        rows = {row["num"]: row for row in state["signals"]}
        ours = rows[REPLACE.num]
        wrong = sum(row[what] for row in rows.values() for what in ("failed", "redelivered", "dropped"))
        return Counts(
            time.monotonic(), ours["sent"], ours["done"], rows[PACE.num]["done"], wrong + int(state["rejected"])
        )

    def begin_signals(self) -> Counts:
        """Have the mule raise its signals; the counts before."""
        before = self.counts()
        send_signal(PACE.num, str(self._folder / "socket"))
        return before

    def end_signals(self, before: Counts, count: int) -> None:
        """Wait for the last. Raises `RuntimeError` if not all were raised, or not handled once in each worker."""
        deadline = time.monotonic() + _HANDLE
        while True:
            now = self.counts()
            sent, done = now.sent - before.sent, now.done - before.done
            if now.paced > before.paced and done >= WORKERS * sent:
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if (sent, done, now.wrong) != (count, WORKERS * count, 0):
            raise RuntimeError(f"of {count} signals {sent} were sent, {done} done in {WORKERS} workers; {now}")

    def is_ready(self, *, joined: bool) -> bool:
        """Whether it answers requests, and has its workers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2) as answer:
                answer.read()
            return not joined or bool(self._state()["complete"])
        except (OSError, ConfigError):
            return False

    def _state(self) -> dict[str, Any]:
        return request(self._folder / "heliograph" / f"{_NAME}.sock", {"do": "signals"})


@contextmanager
def serving(server: WebServer, seconds: int, *, beside: bool) -> Generator[Serving]:
    """The server alone, or `beside` heliograph with a mule that can raise signals for so long; ended with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), _free_port()
        command = [*(_heliograph(folder) if beside else []), *server.at(port)]
        environment = {"XDG_RUNTIME_DIR": name, "BENCH_SECONDS": str(seconds), "PYTHONPATH": _path()}
        with running(command, folder / "log", environment) as process:
            yield _ready(process, Serving(port, process.pid, folder), folder / "log", joined=beside)
            if process.poll() is not None:
                raise RuntimeError(f"{server.name} has ended\n{tail(folder / 'log')}")


def _ready(process: subprocess.Popen[bytes], server: Serving, log: Path, *, joined: bool) -> Serving:
    deadline = time.monotonic() + _START
    while not server.is_ready(joined=joined):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start\n{tail(log)}")
        time.sleep(0.05)
    return server


def _heliograph(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "heliograph", "run", "lib.web_app", "--mules", "1", "--name", _NAME]
    return [*command, "--socket", str(folder / "socket"), "--allow-remote", str(PACE.num), "--"]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _program(command: str) -> Path:
    return Path(sys.executable).with_name(command)


def _path() -> str:
    """Where `lib` is found, also by servers that do not look where they were started."""
    return os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
