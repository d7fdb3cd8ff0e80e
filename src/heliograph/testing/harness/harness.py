"""The test's side of a stage: what is the same for a real server and for one process that plays it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from subprocess import Popen
from typing import Any, NoReturn

from heliograph.testing.harness.agent import HUB, KEY, LOG, Event, EventLog, Job, outcome_of

TIMEOUT = 20.0
"""Seconds after which what has not happened counts as broken; nothing is awaited longer, nothing shorter."""

ALL_PROCESSES = ["worker1", "worker2", "mule1", "mule2", "spooler1"]

_UWSGI = frozenset({"server", "uwsgi"})
_LOCAL = frozenset({"server", "local", "mules", "moves", "limited wait", "serial workers", "redelivery", "coalesces"})
FEATURES: dict[str, frozenset[str]] = {
    "uwsgi plain": _UWSGI | {"mules", "serial workers", "real minutes", "loads once"},
    "uwsgi lazy": _UWSGI | {"lazy", "serial workers"},
    "uwsgi threads": _UWSGI | {"mules", "threads", "loads once"},
    "local plain": _LOCAL | {"real minutes", "loads once"},
    "local lazy": _LOCAL,
    "local beside": _LOCAL,
    "inline": frozenset({"mules", "limited wait", "moves", "serial workers", "coalesces", "fake clock"}),
}
"""What each stage has and can do, by its name."""


def eventually(what: str, happened: Callable[[], Any], patience: float = TIMEOUT) -> Any:
    """Wait until `happened()` is true and return what it said; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        found = happened()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"within {patience:g} s there was not: {what}")
        time.sleep(0.005)


class Harness(ABC):
    """A server to act on. `features` say what it has and can do; a test that needs more is skipped."""

    def __init__(self, name: str, features: frozenset[str], directory: Path) -> None:
        self.name = name
        self.features = features
        self.directory = directory
        self.log = directory / "handled"
        self._log = EventLog(self.log)
        self.remote: str | None = None

    @abstractmethod
    def run(self, process: str, job: Job) -> Any:
        """Run a job in the process `who`, and return what it returned or raise what it raised."""

    def call(self, process: str, func: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the process `who`, beside its signals."""
        return self.run(process, (False, func, args))

    def handle(self, process: str, func: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the process `who`, within a handler."""
        return self.run(process, (True, func, args))

    def advance_time(self, seconds: float) -> None:  # noqa: B027 - on a real server it passes by itself
        """Let time pass, where this stage holds it in its hands."""

    def notify_file_change(self, path: Path) -> None:  # noqa: B027 - on a real server it is watched
        """Tell that a file has changed, where nobody watches it."""

    def events(self, *nums: int) -> list[Event]:
        """What was handled so far, the earliest first; of these numbers, if any are given."""
        return [event for event in self._log.events() if event.num in nums or not nums]

    def expect(self, count: int, *nums: int, since: int = 0) -> list[Event]:
        """Wait until these signals were handled `count` times more than `since`, and return those events."""
        eventually(f"{count} of signals {nums}", lambda: len(self.events(*nums)) >= since + count)
        return self.events(*nums)[since:]


class InlineHarness(Harness):
    """One process that plays all: everything happens at once."""

    def __init__(self, engine: Any, app: Any, directory: Path, features: frozenset[str]) -> None:
        super().__init__("inline", features, directory)
        self.engine = engine
        self._app = app

    def run(self, process: str, job: Job) -> Any:
        with self.engine.playing(process):
            control = self._app.CONTROL.get(process, 0)
            well, result = self._app.AGENT.run_in_handler(job, control) if job[0] else outcome_of(job)
        return result if well else _raise(result)

    def advance_time(self, seconds: float) -> None:
        self.engine.clock.sleep(seconds)

    def notify_file_change(self, path: Path) -> None:
        self.engine.changed(str(path))


class ServerHarness(Harness):
    """A real server, with an agent in each of its processes."""

    def __init__(self, name: str, features: frozenset[str], directory: Path) -> None:
        super().__init__(name, features, directory)
        self.server: Popen[bytes] | None = None
        self.output = directory / "server.log"
        self._agents: dict[str, tuple[int, Connection[Any, Any]]] = {}
        self._listener = Listener(str(directory / "hub"), "AF_UNIX", backlog=64, authkey=KEY)
        threading.Thread(target=self._accept_agents, name="stage-hub", daemon=True).start()

    def start(self, command: list[str], processes: list[str], **variables: str) -> None:
        """Start the server and wait until each of its processes has reported."""
        env = {**os.environ, HUB: str(self._listener.address), LOG: str(self.log), **variables}
        with self.output.open("wb") as output:
            self.server = Popen(command, stdout=output, stderr=output, env=env)  # noqa: S603 - a server under test
        try:
            eventually(f"a report of {processes}", lambda: self._check_alive() and set(processes) <= set(self._agents))
        except AssertionError as failure:
            raise AssertionError(f"{failure}; the server said:\n{self.output_text()}") from None

    def state(self) -> dict[str, Any]:
        """What `heliograph signals --json` says of a server of our own."""
        from heliograph.ipc.control_client import request

        return request(self.directory / "heliograph" / "stage.sock", {"do": "signals"})

    def output_text(self) -> str:
        """The server's output so far."""
        return self.output.read_text(errors="replace")

    def wait_for_output(self, text: str) -> None:
        """Wait until the server's output has this in it."""
        eventually(f"{text!r} in the log", lambda: text in self.output_text())

    def stop(self) -> int:
        """End the server as an operator does, and return its exit code."""
        assert self.server is not None
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
        with contextlib.suppress(Exception):
            self._listener.close()
        return self.server.wait(timeout=TIMEOUT)

    def pid(self, process: str) -> int:
        """Process id of `who`, as it last reported."""
        return self._agents[process][0]

    def kill(self, process: str) -> int:
        """End a process with SIGKILL; return the process id that it had."""
        pid = self.pid(process)
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_successor(self, process: str, pid: int) -> None:
        """Wait until another process than `pid` has reported as `who`."""
        eventually(f"a successor of {process} ({pid})", lambda: self.pid(process) != pid)

    def run(self, process: str, job: Job) -> Any:
        _, connection = self._agents[process]
        connection.send(job)
        if not connection.poll(40):
            raise AssertionError(f"{process} did not answer; the server said:\n{self.output_text()[-4000:]}")
        well, result = connection.recv()
        return result if well else _raise(result)

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

    def _check_alive(self) -> bool:
        assert self.server is not None
        if self.server.poll() is not None:
            raise AssertionError(f"the server ended with {self.server.returncode}")
        return True


@contextmanager
def inline_harness(directory: Path) -> Generator[InlineHarness]:
    """The stage that one process plays."""
    from heliograph import engines
    from heliograph.engines.inline import InlineEngine
    from heliograph.runtime.signals import REGISTRY
    from heliograph.runtime.triggers import TRIGGERS

    engine = InlineEngine()
    before = dict(REGISTRY.registered), set(REGISTRY.claimed), dict(REGISTRY.names), dict(TRIGGERS)
    REGISTRY.clear()
    TRIGGERS.clear()
    sys.modules.pop("heliograph.testing.harness.app", None)
    os.environ[LOG] = str(directory / "handled")
    try:
        with engines.using(engine):
            from heliograph.testing.harness import app

            yield InlineHarness(engine, app, directory, FEATURES["inline"])
    finally:
        del os.environ[LOG]
        sys.modules.pop("heliograph.testing.harness.app", None)
        REGISTRY.clear()
        REGISTRY.registered.update(before[0])
        REGISTRY.claimed.update(before[1])
        REGISTRY.names.update(before[2])
        TRIGGERS.clear()
        TRIGGERS.update(before[3])


@contextmanager
def uwsgi_harness(directory: Path, name: str, *flags: str) -> Generator[ServerHarness]:
    """The stage that a real uWSGI server makes. `name` is `plain`, `lazy` or `threads`; `flags` go to the server."""
    lazy = name == "lazy"
    harness = ServerHarness(f"uwsgi {name}", FEATURES[f"uwsgi {name}"], directory)
    harness.remote = str(directory / "socket")
    spool = directory / "spool"
    spool.mkdir()
    command = [str(Path(sys.executable).with_name("uwsgi")), "--master", "--need-app", "--die-on-term"]
    command += ["--module", "heliograph.testing.harness.app", "--socket", harness.remote, "--processes", "2"]
    command += ["--mules", "2", "--farm", "crunchers:1,2", "--spooler", str(spool), "--enable-threads", *flags]
    try:
        harness.start(command, ALL_PROCESSES[:2] if lazy else ALL_PROCESSES)
        yield harness
    finally:
        harness.stop()


@contextmanager
def local_harness(directory: Path, name: str, **options: Any) -> Generator[ServerHarness]:
    """The stage that a server of our own makes. `options` are those of `heliograph.serve`."""
    harness = ServerHarness(f"local {name}", FEATURES[f"local {name}"], directory)
    harness.remote = str(directory / "socket")
    options = {"workers": 2, "mules": 2, "farms": {"crunchers": [1, 2]}, "spooler": str(directory), **options}
    options |= {"listen": harness.remote, "allow_remote": [22]}
    program = f"""
import logging
from heliograph import serve

logging.basicConfig(level=logging.INFO)
raise SystemExit(serve("heliograph.testing.harness.app", name="stage", **{options!r}))
"""
    try:
        harness.start([sys.executable, "-c", program], ALL_PROCESSES, XDG_RUNTIME_DIR=str(directory))
        yield harness
    finally:
        harness.stop()


def _raise(failure: Exception) -> NoReturn:
    raise failure
