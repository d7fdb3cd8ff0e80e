"""Start the server with `heliograph run`, and stop it with all its processes."""

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
from .workload import CLOSE, DIRECTORY, FARMS, HISTORY, MULES, PROCESSES, RATE, STOP, WORKERS

ROOT = Path(__file__).parents[1]
_NAME = "chaos"
ENGINES = ("local", "gunicorn", "uwsgi")
"""The heliograph server alone, the same with gunicorn, and uWSGI."""
TIMEOUT = 30.0
"""Seconds to start, to become idle and to stop."""


class ServerExited(Exception):
    """The server exited or did not start."""


class Server:
    """A server in its own session. The end of the block kills it."""

    application = "chaos.app"
    """The module that the server loads."""
    graceful_timeout = 10.0
    """Seconds in which processes have to exit at a reload and at a stop."""

    def __init__(self, engine: str, directory: Path, rate: float) -> None:
        """Set up the server. `rate` is the number of signals per second of each sender."""
        self.engine = engine
        self.history = History(directory / HISTORY)
        self.directory = directory
        self._log = directory / "server.log"
        self._rate = rate
        self._process: subprocess.Popen[bytes]

    @property
    def options(self) -> tuple[str, ...]:
        """The options of the engine, and what follows them."""
        seconds = f"{self.graceful_timeout:.0f}"
        if self.engine == "uwsgi":
            return ("--engine", "uwsgi", "--", "--worker-reload-mercy", seconds, "--mule-reload-mercy", seconds)
        local = ("--engine", "local", "--name", _NAME, "--graceful-timeout", seconds)
        if self.engine == "local":
            return local
        gunicorn = ("gunicorn", "-w", str(WORKERS), "-b", "127.0.0.1:0", "--no-control-socket", self.application)
        return (*local, "--", *gunicorn)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server."""
        variables = {DIRECTORY: str(self.directory), RATE: str(self._rate), "XDG_RUNTIME_DIR": str(self.directory)}
        return {**os.environ, **variables}

    @property
    def spool(self) -> Path:
        """The directory of the spooler."""
        return self.directory / "spool"

    def launch(self) -> None:
        """Start the server. Its log goes on if it has run before."""
        command = [sys.executable, "-m", "heliograph", "run", self.application]
        command += ["--workers", str(WORKERS), "--mules", str(MULES), "--spooler", str(self.spool)]
        for name, mules in FARMS.items():
            command += ["--farm", f"{name}={','.join(map(str, mules))}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, *self.options],
                cwd=ROOT,
                env=self.environment,
                preexec_fn=_close_stdin,  # noqa: PLW1509 - this process has one thread
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.launch()
        try:
            self.wait_until_all_loaded_after(0)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.remaining():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    @property
    def master(self) -> int:
        """Process id of the master, which is also the id of its session."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Log of the server so far."""
        return self._log.read_text(errors="replace")

    @property
    def log_size(self) -> int:
        """Bytes of the log so far."""
        return self._log.stat().st_size

    def all_loaded_after(self, moment: int) -> bool:
        """Return True if every process has loaded its code after `moment` (nanoseconds, monotonic clock)."""
        newest = self.history.newest()
        return all(name in newest and newest[name].loaded > moment for name in PROCESSES)

    def wait_until_all_loaded_after(self, moment: int) -> None:
        """Wait until `all_loaded_after(moment)`. Raises `ServerExited` if the server exits or the time is over."""
        deadline = time.monotonic() + TIMEOUT
        while not self.all_loaded_after(moment):
            self.check()
            if time.monotonic() > deadline:
                raise ServerExited(
                    f"not all processes started within {TIMEOUT:g} s. The log ends with:\n{self.log[-3000:]}"
                )
            time.sleep(0.02)

    def check(self) -> None:
        """Raise `ServerExited` if the server has exited."""
        if self._process.poll() is not None:
            raise ServerExited(
                f"server exited with code {self._process.returncode}. The log ends with:\n{self.log[-3000:]}"
            )

    def reload(self) -> None:
        """Send SIGHUP to the master."""
        os.kill(self.master, signal.SIGHUP)

    def kill(self, process: ProcessRecord) -> bool:
        """Kill a process of this server with SIGKILL. Return False if it has exited or its id was reused."""
        return self.send_unix_signal(process, signal.SIGKILL)

    def send_unix_signal(self, process: ProcessRecord, unix_signal: signal.Signals) -> bool:
        """Send a Unix signal to a process of this server. Return False if it has exited or its id was reused."""
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        try:
            if process.pid not in session(self.master):
                return False
            signal.pidfd_send_signal(fd, unix_signal)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    def stop_senders(self) -> None:
        """Make the senders pause."""
        (self.directory / STOP).touch()

    def resume_senders(self) -> None:
        """Make the senders go on."""
        (self.directory / STOP).unlink(missing_ok=True)

    def close_descriptors(self) -> None:
        """Make one mule, or the spooler, close all of its descriptors after a handler."""
        (self.directory / CLOSE).touch()

    def state(self) -> dict[str, Any] | None:
        """Return what `heliograph signals --json` prints, or None on uWSGI, which has no such command."""
        if self.engine == "uwsgi":
            return None
        command = [sys.executable, "-m", "heliograph", "signals", "--json", "--name", _NAME]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=True, timeout=TIMEOUT)  # noqa: S603
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def is_complete(self) -> bool:
        """Return True if all processes run now. The master then has one descriptor for each process that joined."""
        state = self.state()
        return state is None or bool(state["complete"])

    def stop(self) -> int | None:
        """Stop the server with SIGTERM. Return its exit code, or None if it does not exit."""
        self.request_stop(group=False)
        return self.wait()

    def request_stop(self, *, group: bool) -> None:
        """Send SIGTERM to the process group of the server, or to its master."""
        (os.killpg if group else os.kill)(self.master, signal.SIGTERM)

    def wait(self) -> int | None:
        """Return the exit code of the server, or None if it does not exit."""
        try:
            return self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            return None

    def remaining(self) -> list[int]:
        """Return the process ids of the server that still run."""
        return session(self.master)


def _close_stdin() -> None:
    os.close(0)
