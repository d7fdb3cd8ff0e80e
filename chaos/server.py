"""The server around the application, started with `heliograph run`, and nothing of it left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .history import History, ProcessRecord
from .resources import session
from .workload import DIRECTORY, FARMS, HISTORY, MULES, OVER, PROCESSES, RATE, WORKERS

_ROOT = Path(__file__).parents[1]
_NAME = "chaos"
_LOCAL = ("--engine", "local", "--name", _NAME, "--graceful-timeout", "10")
_GUNICORN = ("gunicorn", "-w", str(WORKERS), "-b", "127.0.0.1:0", "--no-control-socket", "chaos.app")
_OPTIONS = {
    "local": _LOCAL,
    "gunicorn": (*_LOCAL, "--", *_GUNICORN),
    "uwsgi": ("--engine", "uwsgi", "--", "--worker-reload-mercy", "10", "--mule-reload-mercy", "10"),
}
ENGINES = tuple(_OPTIONS)
"""Our own server, the same with workers that are gunicorn's, and real uWSGI."""
PATIENCE = 30.0
"""Seconds to start, to drain and to end."""


class ServerExited(Exception):
    """The server has ended, or does not come up."""


class Server:
    """A server in a session of its own, which ends with the block."""

    def __init__(self, engine: str, directory: Path, rate: float) -> None:
        """`rate` is how many signals a second each sender sends."""
        self.engine = engine
        self.history = History(directory / HISTORY)
        self._directory = directory
        self._log = directory / "server.log"
        self._env = {**os.environ, DIRECTORY: str(directory), RATE: str(rate), "XDG_RUNTIME_DIR": str(directory)}
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "heliograph", "run", "chaos.app"]
        command += ["--workers", str(WORKERS), "--mules", str(MULES), "--spooler", str(self._directory / "spool")]
        for name, mules in FARMS.items():
            command += ["--farm", f"{name}={','.join(map(str, mules))}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [*command, *_OPTIONS[self.engine]],
                cwd=_ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.await_all_loaded_after(0)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.left_behind():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    @property
    def master(self) -> int:
        """Process id of the master, and number of its session."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server said so far."""
        return self._log.read_text(errors="replace")

    def all_loaded_after(self, moment: int) -> bool:
        """Whether every seat is taken by a process whose code was loaded after that moment (ns, monotonic)."""
        newest = self.history.newest()
        return all(who in newest and newest[who].loaded > moment for who in PROCESSES)

    def await_all_loaded_after(self, moment: int) -> None:
        """Wait for that. Raises `Gone` if it does not come."""
        deadline = time.monotonic() + PATIENCE
        while not self.all_loaded_after(moment):
            self.check()
            if time.monotonic() > deadline:
                raise ServerExited(
                    f"not all processes came up within {PATIENCE:g} s; the server said:\n{self.log[-3000:]}"
                )
            time.sleep(0.02)

    def check(self) -> None:
        """Raises `Gone` if the server has ended."""
        if self._process.poll() is not None:
            raise ServerExited(f"the server ended with {self._process.returncode} and said:\n{self.log[-3000:]}")

    def reload(self) -> None:
        """As an operator does it."""
        os.kill(self.master, signal.SIGHUP)

    def kill(self, life: ProcessRecord) -> bool:
        """End a process of this server with SIGKILL; False if it had ended, or its number is somebody else's by now."""
        try:
            fd = os.pidfd_open(life.pid)
        except ProcessLookupError:
            return False
        try:
            if life.pid not in session(self.master):
                return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    def stop_senders(self) -> None:
        """Tell the senders to stop."""
        (self._directory / OVER).touch()

    def state(self) -> dict[str, Any] | None:
        """What `heliograph signals` says; None where the engine has no such command."""
        if self.engine == "uwsgi":
            return None
        command = [sys.executable, "-m", "heliograph", "signals", "--json", "--name", _NAME]
        done = subprocess.run(command, env=self._env, capture_output=True, check=True, timeout=PATIENCE)  # noqa: S603
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def complete(self) -> bool:
        """Whether nobody is missing just now: for each process that joined the master has a descriptor."""
        state = self.state()
        return state is None or bool(state["complete"])

    def stop(self) -> int | None:
        """End the server as an operator does: its exit code, None if it does not end."""
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None

    def left_behind(self) -> list[int]:
        """The processes of the server that have not ended."""
        return session(self.master)
