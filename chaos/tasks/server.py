"""The server that runs tasks, and clients that enqueue some from outside of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.resources import PROC, session
from chaos.server import ROOT, TIMEOUT, Server, ServerExited
from chaos.workload import DIRECTORY, RATE, SENDERS

from .journal import GENERATION, LOOK
from .locks import are_shown

CLIENTS = 2
"""Number of processes outside of the server that enqueue."""


class TaskServer(Server):
    """A server whose master may be killed and started again. The end of the block kills it, and the clients."""

    application = "chaos.tasks.app"

    def __init__(self, engine: str, directory: Path, store: Path, rate: float, graceful_timeout: float) -> None:
        """Set up the server. `rate` is the number of tasks per second of all senders.

        The death of a fork server is a reload. It must not kill a stopped process, so the timeout is to be longer.
        """
        super().__init__(engine, directory, rate)
        self._store = store
        self.graceful_timeout = graceful_timeout
        self._rate = rate / (len(SENDERS) + CLIENTS)
        self.generation = 0
        """Number of restarts."""
        self.shows_locks = are_shown(directory)
        self._clients: list[subprocess.Popen[bytes]] = []

    @property
    def spool(self) -> Path:
        """The directory of the store."""
        return self._store

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server and of the clients."""
        return {
            **super().environment,
            DIRECTORY: str(self.directory),
            GENERATION: str(self.generation),
            LOOK: "1" if self.shows_locks else "",
            RATE: str(self._rate),
            "HELIOGRAPH_SPOOLER": str(self._store),
            "XDG_STATE_HOME": str(self.directory / "state"),
        }

    def __enter__(self) -> Self:
        super().__enter__()
        self._clients = [self.client() for _ in range(CLIENTS)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_clients()
        super().__exit__(kind, error, trace)

    def client(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process outside of the server."""
        command = [sys.executable, "-m", "chaos.tasks.client", *arguments]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)  # noqa: S603

    def stop_clients(self) -> list[int]:
        """Stop the clients. Return the exit codes of those that had exited before."""
        codes = [code for client in self._clients if (code := client.poll()) is not None]
        for client in self._clients:
            client.terminate()
            client.wait()
        self._clients.clear()
        return codes

    def fork_servers(self) -> list[int]:
        """Return the process ids of the fork servers."""
        return [pid for pid in self.remaining() if "fork server" in _title(pid)]

    def kill_master(self) -> None:
        """Kill the master, wait for the end of all its processes, and start the server again.

        The processes of uWSGI would go on without their master, so they are killed with it.

        Raises:
            ServerExited: A process has outlived the master.
        """
        killed = self.master
        os.kill(killed, signal.SIGKILL)
        self._process.wait()
        if self.engine == "uwsgi":
            os.killpg(killed, signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT
        while session(killed):
            if time.monotonic() > deadline:
                raise ServerExited(f"processes outlived the master by {TIMEOUT:g} s: {session(killed)}")
            time.sleep(0.01)
        self.generation += 1
        self.launch()


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_text(errors="replace")
    return ""
