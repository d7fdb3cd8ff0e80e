"""Start and stop web servers that serve `lib.web_app`, alone or with heliograph, and send signals to their workers."""

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
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from heliograph.remote import send_signal
from lib import control
from lib.processes import HERE, running, session, tail
from lib.web_app import PACE, RATE, REPLACE

WORKERS = 2

Variant = Literal["alone", "with heliograph", "with signals", "coalesced signals", "a bare thread"]

_START_TIMEOUT, _HANDLE_TIMEOUT = 20.0, 20.0
"""Seconds until a server is ready, and until the last signal is handled."""
_NAME = f"bench-web-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class WebServer:
    """A web server with two processes. `flags` are its arguments without the address."""

    name: str
    command: str
    flags: Sequence[str]
    closes: bool = False
    """True if the client asks it to close the connection after each request."""

    def at(self, port: int) -> list[str]:
        """Return the command that serves on `port`."""
        address = ["--bind", f"127.0.0.1:{port}"] if self.command == "gunicorn" else ["--port", str(port)]
        return [str(_program(self.command)), *self.flags, *address]


_TWO = ("--workers", str(WORKERS))

SYNC = WebServer("gunicorn sync", "gunicorn", ("lib.web_app:wsgi", *_TWO))
GTHREAD = WebServer("gunicorn gthread", "gunicorn", ("lib.web_app:wsgi", *_TWO, "--threads", "4"))
GEVENT = WebServer("gunicorn gevent", "gunicorn", ("lib.web_app:wsgi", *_TWO, "--worker-class", "gevent"))
UVICORN = WebServer("uvicorn", "uvicorn", ("lib.web_app:asgi", *_TWO, "--no-access-log"), closes=True)
GRANIAN = WebServer("granian", "granian", ("lib.web_app:asgi", *_TWO, "--interface", "asgi"))

WEB_SERVERS = (SYNC, GTHREAD, *([GEVENT] if find_spec("gevent") else []), UVICORN, GRANIAN)


def versions() -> str:
    """Return the names and versions of all measured web servers."""
    return ", ".join(f"{name} {version(name)}" for name in dict.fromkeys(server.command for server in WEB_SERVERS))


def missing() -> list[str]:
    """Return the commands that are not installed."""
    return sorted({server.command for server in WEB_SERVERS if not _program(server.command).exists()})


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of the signals that the workers handle, at one moment."""

    at: float
    """Seconds on the monotonic clock."""
    sent: int
    done: int
    """Handled, or coalesced."""
    paced: int
    """Number of times that the mule has finished sending them."""
    wrong: int
    """Failed, redelivered, dropped or rejected."""


class RunningWebServer:
    """A running web server on 127.0.0.1."""

    def __init__(self, port: int, master: int, folder: Path) -> None:
        """Set up access to a server. `master` is the id of the process that was started."""
        self.port = port
        self._master = master
        self._folder = folder

    @property
    def processes(self) -> list[int]:
        """Process ids of the server, including heliograph, without the mule that sends."""
        return sorted(set(session(self._master)) - set(self.senders))

    @property
    def senders(self) -> list[int]:
        """Process ids of what sends signals: the mule."""
        return [self._state()["processes"]["mule1"]]

    def workers(self, *, joined: bool) -> list[int]:
        """Return the process ids that serve requests. Set `joined` if they joined heliograph."""
        if joined:
            return [pid for process, pid in self._state()["processes"].items() if process.startswith("worker")]
        return [pid for pid in self.processes if _parent(pid) == self._master]

    def counts(self) -> Counts:
        """Return the counters of the server (only with heliograph)."""
        state = self._state()
        rows = {row["num"]: row for row in state["signals"]}
        replace = rows[REPLACE.num]
        wrong = sum(row[column] for row in rows.values() for column in ("failed", "redelivered", "dropped"))
        return Counts(
            time.monotonic(),
            replace["sent"],
            replace["done"] + replace["coalesced"],
            rows[PACE.num]["done"],
            wrong + int(state["rejected"]),
        )

    def start_signals(self) -> Counts:
        """Make the mule send its signals. Return the counters from before."""
        before = self.counts()
        send_signal(PACE.num, str(self._folder / "socket"))
        return before

    def finish_signals(self, before: Counts, count: int) -> None:
        """Wait for the last signal. Raises `RuntimeError` unless all were sent and handled once in each worker."""
        deadline = time.monotonic() + _HANDLE_TIMEOUT
        while True:
            now = self.counts()
            sent, done = now.sent - before.sent, now.done - before.done
            if now.paced > before.paced and done >= WORKERS * sent:
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if (sent, done, now.wrong) != (count, WORKERS * count, 0):
            raise RuntimeError(f"{sent} of {count} signals were sent and {done} handled by {WORKERS} workers: {now}")

    def is_ready(self, *, joined: bool) -> bool:
        """Return True if the server answers requests and, with `joined`, its workers have joined."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2) as answer:
                answer.read()
            return not joined or bool(self._state()["complete"])
        except (OSError, control.ConfigError):
            return False

    def _state(self) -> dict[str, Any]:
        return control.server_state(self._folder, _NAME)


class PlainWebServer(RunningWebServer):
    """A web server without heliograph. Records for the bare threads of its workers come from another process."""

    def __init__(self, port: int, master: int, folder: Path, seconds: int) -> None:
        """Set up access to a server, and to a sender that sends for `seconds`."""
        super().__init__(port, master, folder)
        self._seconds = seconds
        self._sender: subprocess.Popen[bytes]

    @property
    def senders(self) -> list[int]:
        """None: the sender is not in the session of the server."""
        return []

    def counts(self) -> Counts:
        """Return the numbers that the bare threads have reported."""
        calls = sum(int(path.read_text()) for path in self._folder.glob("calls-*"))
        return Counts(time.monotonic(), 0, calls, 0, 0)

    def start_signals(self) -> Counts:
        """Start the sender. It gets the cores of this process."""
        before = self.counts()
        command = [sys.executable, "-m", "lib.bare_thread", str(self._folder), str(RATE), str(self._seconds)]
        self._sender = subprocess.Popen(command, cwd=HERE)
        return before

    def finish_signals(self, before: Counts, count: int) -> None:
        """Wait for the sender. Raises `RuntimeError` unless each worker has handled all records."""
        self._sender.wait(_HANDLE_TIMEOUT)
        deadline = time.monotonic() + _HANDLE_TIMEOUT
        while (done := self.counts().done - before.done) != WORKERS * count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{done} of {count} records were handled by {WORKERS} workers")
            time.sleep(0.02)


@contextmanager
def web_server(server: WebServer, seconds: int, variant: Variant) -> Generator[RunningWebServer]:
    """Start a variant of a web server, and what sends signals for `seconds`, and stop it with the block."""
    joined = variant not in ("alone", "a bare thread")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), _free_port()
        command = [*(_heliograph(folder) if joined else []), *server.at(port)]
        environment = {"XDG_RUNTIME_DIR": name, "BENCH_SECONDS": str(seconds), "PYTHONPATH": _path()}
        environment |= {"BENCH_COALESCE": "1"} if variant == "coalesced signals" else {}
        environment |= {"BENCH_PIPES": name} if variant == "a bare thread" else {}
        with running(command, folder / "log", environment) as process:
            arguments = (port, process.pid, folder)
            running_server = RunningWebServer(*arguments) if joined else PlainWebServer(*arguments, seconds)
            yield _ready(process, running_server, folder / "log", joined=joined)
            if process.poll() is not None:
                raise RuntimeError(f"{server.name} exited\n{tail(folder / 'log')}")


def _ready(process: subprocess.Popen[bytes], server: RunningWebServer, log: Path, *, joined: bool) -> RunningWebServer:
    deadline = time.monotonic() + _START_TIMEOUT
    while not server.is_ready(joined=joined):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"server did not start\n{tail(log)}")
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
    """Return a PYTHONPATH with `lib`, for servers that do not add the current directory."""
    return os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
