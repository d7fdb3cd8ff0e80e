"""The heliograph server under test: `heliograph run` in its own directory and session."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import heliograph
from heliograph.insights import read_state
from heliograph.ipc.instance import control_socket
from heliograph.remote import send_signal
from heliograph.testing.harness.harness import TIMEOUT, eventually

DEADLINE = 20.0
"""Seconds after which a test gives up."""

APP_PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
from heliograph import Signal, engines, uwsgi

EVENTS = os.open("events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def record(what):
    os.write(EVENTS, f"{what} {engines.current().identity} {os.getpid()}\\n".encode())

def block_on(path):
    while not Path(path).exists():
        time.sleep(0.002)
"""
"""The beginning of every application under test: functions to record an event, and to block until a file exists."""


class Event(NamedTuple):
    """An event that the application recorded."""

    what: str
    by: str
    """The process, for example `mule1`."""
    pid: int


class HeliographServer:
    """One server at a time, with the name `e2e`."""

    name = "e2e"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.remote_socket = str(directory / "remote.sock")
        """Address for external signals."""
        self.process: subprocess.Popen[bytes] | None = None
        self._events: list[Event] = []
        self._read_events = 0
        """Bytes of the file that are in `_events`."""

    def write(self, code: str) -> None:
        """Write the application: the preamble and this code."""
        (self.directory / "tasks.py").write_text(APP_PREAMBLE + code)

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the server without waiting until it is ready."""
        self.process = self.popen(sys.executable, "-m", "heliograph", "run", "tasks", "--name", self.name, *arguments)
        return self.process

    def popen(self, *command: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a program in the directory. Its output goes to the log."""
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, code: str, *arguments: str, remote: str = "1,2,3,4,5") -> HeliographServer:
        """Start the server with this application and wait until all its processes are ready."""
        self.write(code)
        self.launch("--socket", self.remote_socket, "--allow-remote", remote, *arguments)
        self.await_log("(?i)ready: ")
        return self

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def await_log(self, pattern: str, count: int = 1, timeout: float = TIMEOUT) -> None:
        """Wait until the log matches a pattern `count` times."""
        try:
            eventually(
                f"{pattern!r} in the log",
                lambda: len(re.findall(pattern, self.log)) >= count or self._exited(),
                timeout,
            )
        except AssertionError as error:
            raise AssertionError(f"{error} The log:\n{self.log}") from None
        assert len(re.findall(pattern, self.log)) >= count, self.log

    def _exited(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def events(self, what: str = "") -> list[Event]:
        """Return the recorded events, or those with this text."""
        path = self.directory / "events"
        if path.exists():
            with path.open() as file:
                file.seek(self._read_events)
                complete = file.read().rpartition("\n")[0]
            if complete:
                self._read_events += len(complete.encode()) + 1
                lines = (line.split() for line in complete.split("\n"))
                self._events += [Event(word, by, int(pid)) for word, by, pid in lines]
        return [event for event in self._events if event.what == what or not what]

    def expect(self, count: int, what: str) -> list[Event]:
        """Wait until the application has recorded `count` events with this text. Return them."""
        try:
            eventually(f"{what!r} {count} times", lambda: len(self.events(what)) >= count)
        except AssertionError as error:
            raise AssertionError(f"{error} It happened {len(self.events(what))} times. The log:\n{self.log}") from None
        return self.events(what)

    def send(self, num: int, times: int = 1) -> None:
        """Send an external signal."""
        for _ in range(times):
            send_signal(num, self.remote_socket, DEADLINE)

    def release(self, path: str) -> None:
        """Create the file that a handler blocks on."""
        (self.directory / path).touch()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command such as `heliograph signals` for this server."""
        command = [sys.executable, "-m", "heliograph", *arguments, "--name", self.name]
        return subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def state(self) -> dict:
        """Return the state that `heliograph signals --json` prints."""
        return read_state(control_socket(self.name))

    def pids(self) -> dict[str, int]:
        """Return the process id of each process of the server, by name."""
        return self.state()["processes"]

    def row(self, num: int) -> dict:
        """Return the counters of a signal."""
        return next(row for row in self.state()["signals"] if row["num"] == num)

    def await_row(self, num: int, **expected: int) -> None:
        """Wait until counters of a signal have these values."""

        def found() -> dict:
            row = self.row(num)
            return {key: row[key] for key in expected}

        try:
            eventually(f"{expected} of signal {num}", lambda: found() == expected)
        except AssertionError as error:
            raise AssertionError(f"{error} The counters: {found()}. The log:\n{self.log}") from None

    def kill(self, process: str) -> int:
        """Send SIGKILL to a process and return its process id."""
        pid = self.pids()[process]
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_successor(self, process: str, pid: int) -> int:
        """Wait for the successor of `pid` and return its process id."""

        def successor() -> int | None:
            found = self.pids().get(process, pid)
            return found if found != pid else None

        return eventually(f"a successor of {process}", successor)

    def master(self) -> int:
        """Return the process id of the master."""
        assert self.process is not None
        return self.process.pid

    def fork_server(self) -> int:
        """Return the process id of the fork server."""
        known = {self.master(), *self.pids().values()}
        return next(pid for pid in self.session() if pid not in known and FORK_SERVER in _title(pid))

    def session(self) -> list[int]:
        """Return the running processes of the server's session."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return sorted(pid for pid in pids if _session(pid) == self.master())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a Unix signal to the master and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until no process of the server is left, and return the exit code."""
        assert self.process is not None
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"The server does not exit. The log:\n{self.log}") from None
        eventually("no process left", lambda: not self.session())
        return code

    def clean(self) -> None:
        """Kill every process of the session."""
        if self.process is None:
            return
        for pid in self.session():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


FORK_SERVER = "fork server"
"""Part of the fork server's process title."""


def _session(pid: int) -> int:
    """Return the session of a process, or 0 if it has exited."""
    try:
        state, _, _, number = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state in "ZX" else int(number)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server that the test starts. No process is left after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("HELIOGRAPH_ENGINE", raising=False)
    server = HeliographServer(tmp_path)
    yield server
    server.clean()
    if server.process is not None:
        print(server.log)  # pytest shows it if the test failed


class Installation:
    """A copy of the package that servers and commands under test use, and that a test may change."""

    def __init__(self, directory: Path) -> None:
        self.package = directory / "heliograph"
        shutil.copytree(Path(heliograph.__file__).parent, self.package, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace a text that stands in a module exactly once."""
        path = self.package / module
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {module}"
        path.write_text(text.replace(old, new))

    def add_counter(self) -> None:
        """Change the layout of the shared memory as a next version would: one counter before those that exist."""
        self.edit("_core/stats/counters.py", '    "skipped",\n', '    "delayed",\n    "skipped",\n')


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A changeable installation of heliograph, which the `server` under test and its commands use."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return Installation(tmp_path / "site")
