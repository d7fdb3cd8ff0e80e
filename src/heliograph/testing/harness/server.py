"""The harness for a real server."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from subprocess import Popen
from typing import Any

from heliograph.testing.harness.agent import KEY, LOG, SOCKET, Job
from heliograph.testing.harness.capabilities import HARNESSES
from heliograph.testing.harness.harness import Harness, eventually, result_of

SERVER_NAME = "harness"
"""Name of a heliograph server under test."""

_SERVER_TIMEOUT = 60.0
"""Seconds in which a server has to start, and to stop. A busy machine needs many."""
_JOB_TIMEOUT = 40.0
"""Seconds that a job may take."""


class ServerHarness(Harness):
    """A real server with an agent in each of its processes."""

    def __init__(self, name: str, directory: Path) -> None:
        super().__init__(name, HARNESSES[name], directory)
        self.remote = str(directory / "socket")
        self.server: Popen[bytes] | None = None
        self.output = directory / "server.log"
        self._agents: dict[str, tuple[int, Connection[Any, Any]]] = {}
        self._listener = Listener(str(directory / "agents"), "AF_UNIX", backlog=64, authkey=KEY)
        threading.Thread(target=self._accept_agents, name="harness-listener", daemon=True).start()

    def start(self, command: list[str], processes: list[str], **variables: str) -> None:
        """Start the server and wait until an agent in each of these processes has reported."""
        env = {**os.environ, SOCKET: str(self._listener.address), LOG: str(self.log), **variables}
        env["XDG_STATE_HOME"] = str(self.directory)
        with self.output.open("wb") as output:
            self.server = Popen(command, stdout=output, stderr=output, env=env)  # noqa: S603 - a server under test
        try:
            eventually(
                f"agents in {processes}",
                lambda: self._check_running() and set(processes) <= set(self._agents),
                _SERVER_TIMEOUT,
            )
        except AssertionError as error:
            raise AssertionError(f"{error} Output of the server:\n{self.output_text()}") from None

    def state(self) -> dict[str, Any]:
        """Return what `heliograph signals --json` prints for a heliograph server."""
        from heliograph.insights import read_state

        return read_state(self.directory / "heliograph" / f"{SERVER_NAME}.sock")

    def output_text(self) -> str:
        """Return the output of the server so far."""
        return self.output.read_text(errors="replace")

    def wait_for_output(self, text: str) -> None:
        """Wait until the output of the server contains a text."""
        eventually(f"{text!r} in the output", lambda: text in self.output_text())

    def stop(self) -> int:
        """Send SIGTERM to the server and return its exit code."""
        assert self.server is not None
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
        with contextlib.suppress(Exception):
            self._listener.close()
        return self.server.wait(timeout=_SERVER_TIMEOUT)

    def pid(self, process: str) -> int:
        """Return the process id that the agent of a process reported last. Wait for a report after `kill`."""
        return self._agent(process)[0]

    def kill(self, process: str) -> int:
        """Send SIGKILL to a process and return its process id. The next job goes to the successor."""
        pid = self.pid(process)
        del self._agents[process]  # before the successor can report
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_successor(self, process: str, pid: int) -> None:
        """Wait until the successor of `pid` has reported."""
        eventually(f"a successor of {process} ({pid})", lambda: self.pid(process) != pid)

    def run(self, process: str, job: Job) -> Any:
        _, connection = self._agent(process)
        connection.send(job)
        if not connection.poll(_JOB_TIMEOUT):
            raise AssertionError(f"{process} did not answer. Output of the server:\n{self.output_text()[-4000:]}")
        return result_of(connection.recv())

    def _agent(self, process: str) -> tuple[int, Connection[Any, Any]]:
        """Return the agent of a process. The agent of a successor can report after the first handlers have run."""
        agent: tuple[int, Connection[Any, Any]] = eventually(
            f"the agent in {process} to report", lambda: self._agents.get(process)
        )
        return agent

    def _accept_agents(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
                process, pid = connection.recv()
            except (OSError, EOFError):
                if getattr(self._listener, "_listener", None) is None:
                    return
                continue
            self._agents[process] = (pid, connection)

    def _check_running(self) -> bool:
        assert self.server is not None
        if self.server.poll() is not None:
            raise AssertionError(f"The server exited with code {self.server.returncode}.")
        return True
