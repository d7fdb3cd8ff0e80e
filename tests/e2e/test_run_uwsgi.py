"""`heliograph run --engine uwsgi` with the real server: start, work, end."""

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

DEADLINE = 60.0
"""Seconds after which a test gives up; none takes that long."""

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

# A process is up when it handles signals: uWSGI loses what it is told while it still runs the hooks after the fork.
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
    """What the application says, by datagrams: `word`, who, pid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(DEADLINE)

    def next(self, word: str) -> tuple[str, int]:
        """Who says the word next, and its pid; other words are passed over."""
        while True:
            said, who, pid = self._sock.recv(4096).decode().split()
            if said == word:
                return who, int(pid)

    def up(self, *expected: str) -> dict[str, int]:
        """Wait until all these are up; their pids."""
        found: dict[str, int] = {}
        while not found.keys() >= set(expected):
            try:
                who, pid = self.next("up")
            except TimeoutError:
                raise AssertionError(f"up: {found}; expected: {expected}") from None
            found[who] = pid
        return found

    def close(self) -> None:
        self._sock.close()


class Run:
    """A `heliograph run` of our own, its log in a file."""

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
        """Send the signal, wait, answer the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """Leave nothing behind, whatever the test did: the session is ours."""
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
    """Whether these processes end before the deadline."""
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_is_the_server_and_ends_with_it(start, reports, number):
    """SIGTERM and Ctrl-C end the server, all its processes and so the command; the exit code is uWSGI's 0."""
    run = start("tasks", "--engine", "uwsgi", "--workers", "2", "--mules", "1", "--spooler", "spool")
    pids = reports.up("worker1", "worker2", "mule1", "spooler1")
    assert run.end(number) == 0
    assert gone(pids.values())
    assert "goodbye to uWSGI" in run.log


def test_a_server_that_is_still_starting_ends_at_once(start, reports, project):
    """SIGTERM that reaches a worker within its post-fork hook ends it too; uWSGI alone would wait a minute for it."""
    hook = "\n@uwsgi.postfork_hooks.add()\ndef slow():\n    report('hook')\n    import time\n    time.sleep(600)\n"
    (project / "slow.py").write_text(APP + hook)
    run = start("slow")
    who, pid = reports.next("hook")
    assert who == "worker1"
    before = time.monotonic()
    assert run.end() == 0
    assert time.monotonic() - before < 30
    assert gone([pid])


def test_workers_handle_signals_though_nobody_serves_http(start, reports):
    """An application without callable has workers; a signal over the socket reaches one."""
    run = start("tasks", "--workers", "2", "--socket", "x.sock")
    pids = reports.up("worker1", "worker2")
    send_signal(1, "x.sock", DEADLINE)
    who, pid = reports.next("signal1")
    assert pids[who] == pid
    assert run.end() == 0


def test_without_an_address_no_port_and_no_file_is_opened(start, reports, project):
    """Signals only and no --socket: nothing listens that could be reached, nothing stays."""
    before = {path.name for path in project.iterdir()}
    run = start("tasks")
    pids = reports.up("worker1")
    inodes = {line.split()[9] for line in Path(f"/proc/{pids['worker1']}/net/tcp").read_text().splitlines()[1:]}
    mine = {str(fd.readlink()) for fd in Path(f"/proc/{run.process.pid}/fd").iterdir()}
    assert not mine & {f"socket:[{inode}]" for inode in inodes}
    assert run.end() == 0
    assert {path.name for path in project.iterdir()} - before <= {"server.log", "__pycache__"}


def test_the_socket_is_removed_at_the_end(start, reports, project):
    """What the server made it removes: the unix socket."""
    run = start("tasks", "--socket", "x.sock")
    reports.up("worker1")
    assert (project / "x.sock").is_socket()
    assert run.end() == 0
    assert not (project / "x.sock").exists()


def test_http_is_served(start, reports):
    """A WSGI application answers at --http."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    run = start("web.py", "--http", address)
    reports.up("worker1")
    assert _get(f"http://{address}/") == b"served"
    assert run.end() == 0


def test_lazy_apps_load_in_the_worker_and_share_the_engine(start, reports, monkeypatch):
    """--lazy-apps works for the target `worker`: the application is loaded after the fork, the signal arrives."""
    monkeypatch.setenv("LAZY", "yes")
    run = start("tasks", "--lazy-apps", "--socket", "x.sock")
    pids = reports.up("worker1")
    assert "wid: 1 modifier1: 0 target: worker" in run.log
    send_signal(1, "x.sock", DEADLINE)
    assert reports.next("signal1") == ("worker1", pids["worker1"])
    assert run.end() == 0


def test_threads_of_a_worker_handle_signals(start, reports):
    """--threads is the server's own; signals arrive as without."""
    # A worker with threads was once seen to hang in its end: uWSGI kills it after its mercy.
    run = start("tasks", "--threads", "4", "--socket", "x.sock", "--", "--worker-reload-mercy", "10")
    pids = reports.up("worker1")
    send_signal(1, "x.sock", DEADLINE)
    assert reports.next("signal1") == ("worker1", pids["worker1"])
    assert run.end() == 0


def test_sighup_reloads_within_the_same_environment(start, reports):
    """A reload finds heliograph and uWSGI again, though they are in a virtualenv; the master's pid stays."""
    run = start("tasks", "--socket", "x.sock")
    before = reports.up("worker1")
    run.process.send_signal(signal.SIGHUP)
    after = reports.up("worker1")
    assert before != after
    send_signal(1, "x.sock", DEADLINE)
    assert reports.next("signal1") == ("worker1", after["worker1"])
    assert run.end() == 0


def test_a_reload_keeps_a_server_that_nobody_reaches(start, reports):
    """The inherited socket without a name outlives a reload too."""
    run = start("tasks")
    before = reports.up("worker1")
    run.process.send_signal(signal.SIGHUP)
    assert reports.up("worker1") != before
    assert run.end() == 0


def test_flags_of_the_servers_own_are_handed_on(start, reports, project):
    """What follows `--` is uWSGI's; its exit code for a flag that it does not know is the command's."""
    run = start("tasks", "--", "--pidfile", "server.pid")
    reports.up("worker1")
    assert int((project / "server.pid").read_text()) == run.process.pid
    assert run.end() == 0
    assert start("tasks", "--", "--no-such-flag").process.wait(DEADLINE) == 1


def test_an_application_that_only_the_server_can_load_ends_it(start, project):
    """What the rehearsal leaves to the server fails there: need-app, exit code 22."""
    (project / "inside.py").write_text("import uwsgi\nraise RuntimeError('broken inside')\n")
    run = start("inside")
    assert run.process.wait(DEADLINE) == 22
    assert "broken inside" in run.log


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nosuch",), "No module named 'nosuch'"),
        (("tasks:nope",), "has no 'nope'"),
        (("tasks", "--farm", "a=1"), "there is no mule 1"),
        (("tasks", "--spooler", "no/spool"), "mkdir -p"),
    ],
)
def test_what_cannot_be_started_is_one_line(start, arguments, says):
    """Exit code 2 and one line; uWSGI is not started."""
    run = start(*arguments)
    assert run.process.wait(DEADLINE) == 2
    assert len(run.log.splitlines()) == 1
    assert says in run.log


def _get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=DEADLINE) as answer:
        return bytes(answer.read())
