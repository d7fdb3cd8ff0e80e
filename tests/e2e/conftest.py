"""A server of our own under test: `heliograph run` in a directory and a session of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from heliograph.ipc.control_client import request
from heliograph.ipc.instance import control_socket
from heliograph.remote import send_signal
from heliograph.testing.harness.harness import eventually

DEADLINE = 20.0
"""Seconds after which a test gives up; none takes that long."""

PRELUDE = """
import os, signal, sys, time
from pathlib import Path
from heliograph import Signal, engines, uwsgi

EVENTS = os.open("events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(what):
    os.write(EVENTS, f"{what} {engines.current().identity} {os.getpid()}\\n".encode())

def hold(gate):
    while not Path(gate).exists():
        time.sleep(0.002)
"""
"""What every application under test begins with: say what happens, and stay within a handler until a gate opens."""


class Event(NamedTuple):
    """What an application said, by whom, and the process id."""

    what: str
    by: str
    pid: int


class Local:
    """One server at a time, found by the name `e2e`; signals come in at the path `wire`."""

    name = "e2e"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wire = str(directory / "wire")
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, code: str) -> None:
        """The application: what stands after the prelude."""
        (self.directory / "tasks.py").write_text(PRELUDE + code)

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the server, and do not wait for it."""
        self.process = self.popen(sys.executable, "-m", "heliograph", "run", "tasks", "--name", self.name, *arguments)
        return self.process

    def popen(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in the directory; what it says goes to the log."""
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, code: str, *arguments: str, remote: str = "1,2,3,4,5") -> Local:
        """Start the server with this application, and wait until all its processes are up."""
        self.write(code)
        self.launch("--socket", self.wire, "--allow-remote", remote, *arguments)
        self.await_log("ready: ")
        return self

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def await_log(self, pattern: str, count: int = 1) -> None:
        """Wait until the log matches so often."""
        try:
            eventually(f"{pattern!r} in the log", lambda: len(re.findall(pattern, self.log)) >= count or self._ended())
        except AssertionError as failure:
            raise AssertionError(f"{failure}; it is:\n{self.log}") from None
        assert len(re.findall(pattern, self.log)) >= count, self.log

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def events(self, what: str = "") -> list[Event]:
        """What the application said; with this word only, if one is given."""
        path = self.directory / "events"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        found = [Event(word, by, int(pid)) for word, by, pid in (line.split() for line in lines if line[-1] == "\n")]
        return [event for event in found if event.what == what or not what]

    def expect(self, count: int, what: str) -> list[Event]:
        """Wait until the application has said it so often."""
        try:
            eventually(f"{what!r} {count} times", lambda: len(self.events(what)) >= count)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; {len(self.events(what))} times; the log:\n{self.log}") from None
        return self.events(what)

    def send(self, num: int, times: int = 1) -> None:
        """Raise a signal from outside."""
        for _ in range(times):
            send_signal(num, self.wire, DEADLINE)

    def open(self, target_credit: str) -> None:
        """Let go who holds there."""
        (self.directory / target_credit).touch()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`heliograph signals` and the like, for this server."""
        command = [sys.executable, "-m", "heliograph", *arguments, "--name", self.name]
        return subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def state(self) -> dict:
        """What the master says of itself."""
        return request(control_socket(self.name), {"do": "signals"})

    def pids(self) -> dict[str, int]:
        return self.state()["processes"]

    def row(self, num: int) -> dict:
        """The counters of one signal."""
        return next(row for row in self.state()["signals"] if row["num"] == num)

    def await_row(self, num: int, **expected: int) -> None:
        """Wait until counters have these values."""

        def found() -> dict:
            row = self.row(num)
            return {key: row[key] for key in expected}

        try:
            eventually(f"{expected} of signal {num}", lambda: found() == expected)
        except AssertionError as failure:
            raise AssertionError(f"{failure}, but {found()}; the log:\n{self.log}") from None

    def kill(self, who: str) -> int:
        """End a process with SIGKILL; the process id that it had."""
        pid = self.pids()[who]
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_successor(self, who: str, pid: int) -> int:
        """Wait until another process is up in its place."""
        return eventually(f"a successor of {who}", lambda: self.pids().get(who, pid) != pid and self.pids()[who])

    def master(self) -> int:
        assert self.process is not None
        return self.process.pid

    def template(self) -> int:
        """The process that forks the others."""
        known = {self.master(), *self.pids().values()}
        return next(pid for pid in self.session() if pid not in known and "template" in _title(pid))

    def session(self) -> list[int]:
        """The processes of the server's session that have not ended."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return sorted(pid for pid in pids if _session(pid) == self.master())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it to the master; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The server's exit code; nothing of it is left then."""
        assert self.process is not None
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end; it said:\n{self.log}") from None
        eventually("no process left", lambda: not self.session())
        return code

    def clean(self) -> None:
        """Leave nothing behind, whatever the test did: the session is ours."""
        if self.process is None:
            return
        for pid in self.session():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _session(pid: int) -> int:
    """The session of a process; 0 if it has ended."""
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
    """A server that is not started yet; whatever becomes of it, nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("HELIOGRAPH_ENGINE", raising=False)
    local = Local(tmp_path)
    yield local
    local.clean()
