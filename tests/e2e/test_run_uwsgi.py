"""`heliograph run --engine uwsgi` with a real uWSGI server."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from heliograph.remote import send_signal

pytestmark = pytest.mark.needs("uwsgi")

DEADLINE = 60.0
"""Seconds after which a test gives up."""

HELIOGRAPH = (sys.executable, "-m", "heliograph")

APP = """
import os, socket
from heliograph import Signal, engines, uwsgi

def report(what):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(f"{what} {engines.current().identity} {os.getpid()}".encode(), os.environ["REPORTS"])

@Signal(1).register_handler("worker")
def work(num):
    report(f"signal{num}")

# A process is ready when it handles signals. uWSGI loses SIGTERM while it runs the post-fork hooks.
def up():
    report("up")

top = engines.current().topology
targets = {2: "worker"} if "LAZY" in os.environ else {2: "workers"}
targets |= ({3: "mules"} if top.mules else {}) | ({4: "spooler"} if top.spoolers else {})
for num, target in targets.items():
    Signal(num).register_handler(target)(up)

@uwsgi.postfork_hooks.add()
def forked():
    if uwsgi.worker_id == 1:
        for num in targets:
            Signal(num).send()
"""

WEB = (
    APP
    + """
def application(environ, start_response):
    report("request")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""
)


class Reports:
    """Receives datagrams of the application: word, process, pid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(DEADLINE)

    def next(self, word: str) -> tuple[str, int]:
        """Wait for the next report with this word. Return the process and its pid."""
        while True:
            said, process, pid = self._sock.recv(4096).decode().split()
            if said == word:
                return process, int(pid)

    def up(self, *expected: str) -> dict[str, int]:
        """Wait until these processes are ready and return their pids."""
        found: dict[str, int] = {}
        while not found.keys() >= set(expected):
            try:
                process, pid = self.next("up")
            except TimeoutError:
                raise AssertionError(f"up: {found}; expected: {expected}") from None
            found[process] = pid
        return found

    def close(self) -> None:
        self._sock.close()


class Run:
    """A `heliograph run` command with its output in a file."""

    def __init__(self, directory: Path, arguments: tuple[str, ...]) -> None:
        self.log_path = directory / "server.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*HELIOGRAPH, "run", "--engine", "uwsgi", *arguments],
                cwd=directory,
                env={**os.environ, "REPORTS": str(directory / "reports"), "HELIOGRAPH_ENGINE": "inline"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a Unix signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """Kill all processes of the session."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").write_text(APP)
    (tmp_path / "web.py").write_text(WEB)
    return tmp_path


@pytest.fixture
def reports(project):
    found = Reports(project / "reports")
    yield found
    found.close()


@pytest.fixture
def start(project, reports):
    runs: list[Run] = []

    def start(*arguments: str) -> Run:
        runs.append(Run(project, arguments))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


def gone(pids) -> bool:
    """Return True if these processes exit before the deadline."""
    deadline = time.monotonic() + DEADLINE
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(pidfd, selectors.EVENT_READ)
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return False
        finally:
            os.close(pidfd)
    return True


@pytest.mark.quick
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_becomes_the_server(start, reports, number):
    """SIGTERM and Ctrl-C stop uWSGI with all its processes. The exit code is 0."""
    run = start("tasks", "--engine", "uwsgi", "--workers", "2", "--mules", "1", "--spooler", "spool")
    pids = reports.up("worker1", "worker2", "mule1", "spooler1")
    assert run.end(number) == 0
    assert gone(pids.values())
    assert "goodbye to uWSGI" in run.log


def test_a_server_stops_during_its_start(start, reports, project):
    """SIGTERM ends a worker within its post-fork hook. uWSGI alone would wait a minute."""
    hook = "\n@uwsgi.postfork_hooks.add()\ndef slow():\n    report('hook')\n    import time\n    time.sleep(600)\n"
    (project / "slow.py").write_text(APP + hook)
    run = start("slow")
    process, pid = reports.next("hook")
    assert process == "worker1"
    before = time.monotonic()
    assert run.end() == 0
    assert time.monotonic() - before < 30
    assert gone([pid])


def test_workers_handle_signals_without_a_web_application(start, reports):
    """A signal over the socket reaches one of them."""
    run = start("tasks", "--workers", "2", "--socket", "x.sock")
    pids = reports.up("worker1", "worker2")
    send_signal(1, "x.sock", DEADLINE)
    process, pid = reports.next("signal1")
    assert pids[process] == pid
    assert run.end() == 0


def test_without_an_address_the_server_listens_nowhere(start, reports, project):
    """It opens no port and leaves no file."""
    before = {path.name for path in project.iterdir()}
    run = start("tasks")
    pids = reports.up("worker1")
    inodes = {line.split()[9] for line in Path(f"/proc/{pids['worker1']}/net/tcp").read_text().splitlines()[1:]}
    mine = {str(fd.readlink()) for fd in Path(f"/proc/{run.process.pid}/fd").iterdir()}
    assert not mine & {f"socket:[{inode}]" for inode in inodes}
    assert run.end() == 0
    assert {path.name for path in project.iterdir()} - before <= {"server.log", "__pycache__"}


def test_the_server_removes_its_socket(start, reports, project):
    """At the stop."""
    run = start("tasks", "--socket", "x.sock")
    reports.up("worker1")
    assert (project / "x.sock").is_socket()
    assert run.end() == 0
    assert not (project / "x.sock").exists()


def test_http_serves_a_wsgi_application(start, reports):
    """At the address of `--http`."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    run = start("web.py", "--http", address)
    reports.up("worker1")
    assert _get(f"http://{address}/") == b"served"
    assert run.end() == 0


def test_lazy_apps_supports_the_target_worker(start, reports, monkeypatch):
    """Each worker loads the application after the fork, and the signal arrives."""
    monkeypatch.setenv("LAZY", "yes")
    run = start("tasks", "--lazy-apps", "--socket", "x.sock")
    pids = reports.up("worker1")
    assert "wid: 1 modifier1: 0 target: worker" in run.log
    send_signal(1, "x.sock", DEADLINE)
    assert reports.next("signal1") == ("worker1", pids["worker1"])
    assert run.end() == 0


def test_threads_of_a_worker_handle_signals(start, reports):
    """With `--threads`."""
    # A worker with threads may hang when it exits. uWSGI kills it after this time.
    run = start("tasks", "--threads", "4", "--socket", "x.sock", "--", "--worker-reload-mercy", "10")
    pids = reports.up("worker1")
    send_signal(1, "x.sock", DEADLINE)
    assert reports.next("signal1") == ("worker1", pids["worker1"])
    assert run.end() == 0


def test_sighup_reloads_the_application(start, reports):
    """uWSGI finds heliograph in the virtualenv again. The master keeps its pid."""
    run = start("tasks", "--socket", "x.sock")
    before = reports.up("worker1")
    run.process.send_signal(signal.SIGHUP)
    after = reports.up("worker1")
    assert before != after
    send_signal(1, "x.sock", DEADLINE)
    assert reports.next("signal1") == ("worker1", after["worker1"])
    assert run.end() == 0


def test_a_server_without_an_address_can_reload(start, reports):
    """It inherits its socket without a name."""
    run = start("tasks")
    before = reports.up("worker1")
    run.process.send_signal(signal.SIGHUP)
    assert reports.up("worker1") != before
    assert run.end() == 0


def test_arguments_after_the_double_dash_go_to_uwsgi(start, reports, project):
    """The exit code for an unknown flag is uWSGI's."""
    run = start("tasks", "--", "--pidfile", "server.pid")
    reports.up("worker1")
    assert int((project / "server.pid").read_text()) == run.process.pid
    assert run.end() == 0
    assert start("tasks", "--", "--no-such-flag").process.wait(DEADLINE) == 1


def test_an_application_that_fails_inside_uwsgi_ends_it(start, project):
    """The preflight check cannot load it. uWSGI exits with 22 because of `--need-app`."""
    (project / "inside.py").write_text("import uwsgi\nraise RuntimeError('broken inside')\n")
    run = start("inside")
    assert run.process.wait(DEADLINE) == 22
    assert "broken inside" in run.log


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nosuch",), "No module named 'nosuch'"),
        (("tasks:nope",), "no such callable in tasks: 'nope'"),
        (("tasks", "--farm", "a=1"), "there is no mule 1"),
        (("tasks", "--spooler", "no/spool"), "mkdir -p"),
    ],
)
def test_an_invalid_start_is_one_line(start, arguments, text):
    """The exit code is 2, and uWSGI is not started."""
    run = start(*arguments)
    assert run.process.wait(DEADLINE) == 2
    assert len(run.log.splitlines()) == 1
    assert text in run.log


def _get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=DEADLINE) as answer:
        return bytes(answer.read())
