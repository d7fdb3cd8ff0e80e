"""A heliograph server as a service of systemd: the test has the socket that systemd would listen at."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

UNIT = Path(__file__).parents[2] / "docs/deployment/heliograph.service"
DEADLINE = 60.0
"""Seconds after which a test gives up. Only a failing test waits for so long."""
WATCHDOG = 0.2
"""Seconds that the watchdog waits for a message."""

APP = """
record(f"NOTIFY_SOCKET={os.environ.get('NOTIFY_SOCKET')},WATCHDOG={os.environ.get('WATCHDOG_USEC')}")
"""


class NotifySocket:
    """Receives the messages of a service, each with the process that has sent it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(address.replace("@", "\0"))
        self.senders: set[int] = set()

    def receive(self, timeout: float = DEADLINE) -> dict[str, str]:
        """Return the fields of the next message. Raises: TimeoutError: none arrives in time."""
        self._socket.settimeout(timeout)
        message, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
        self.senders.add(struct.unpack("3i", ancillary[0][2])[0])
        return dict(line.split("=", 1) for line in message.decode().split("\n"))

    def until(self, field: str) -> dict[str, str]:
        """Return the next message with this field."""
        deadline = time.monotonic() + DEADLINE
        while (left := deadline - time.monotonic()) > 0:
            message = self.receive(left)
            if field in message:
                return message
        raise AssertionError(f"No message with {field}.")

    def drain(self) -> None:
        """Drop the messages that have arrived."""
        try:
            while True:
                self.receive(0)
        except BlockingIOError:
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path, monkeypatch):
    """The two kinds of sockets that systemd can use."""
    name = f"@heliograph-test-{tmp_path.name}-{time.monotonic_ns()}"
    receiver = NotifySocket(str(tmp_path / "notify") if request.param == "path" else name)
    monkeypatch.setenv("NOTIFY_SOCKET", receiver.address)
    yield receiver
    receiver.close()


def await_state(pid, state):
    """Wait until a process has that state, such as `T`: stopped."""
    stat = Path(f"/proc/{pid}/stat")
    eventually(f"state {state}", lambda: stat.read_text().rpartition(")")[2].split()[0] == state)


@pytest.mark.quick
def test_start_reload_and_stop(server, systemd):
    """The life of a service: only the master sends, and the old code serves on after a reload that fails."""
    server.start(APP, "--mules", "2")
    assert systemd.until("STATUS") == {"STATUS": "Loading the application"}
    assert systemd.until("READY") == {"READY": "1", "STATUS": "3 of 3 processes, generation 1"}

    before = time.monotonic_ns() // 1000
    server.process.send_signal(signal.SIGHUP)
    reloading = systemd.until("RELOADING")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert systemd.until("READY") == {"READY": "1", "STATUS": "3 of 3 processes, generation 2"}

    server.write("import nothing_of_that_name")
    server.process.send_signal(signal.SIGHUP)
    assert systemd.until("RELOADING")["STATUS"] == "3 of 3 processes, generation 2, loading generation 3"
    status = systemd.until("READY")["STATUS"]
    assert status.startswith("3 of 3 processes, generation 2. Generation 3 was not loaded: ModuleNotFoundError")

    server.process.send_signal(signal.SIGTERM)
    stopping = systemd.until("STOPPING")
    assert (stopping["STATUS"], int(stopping["EXTEND_TIMEOUT_USEC"]) > 30_000_000) == ("Stopping", True)
    assert server.wait() == 0
    assert systemd.senders == {server.master()}


def test_no_process_of_the_server_can_notify(server, systemd, monkeypatch):
    """The application, its processes and the web server have no variable of systemd."""
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    web = "import os, pathlib, time; pathlib.Path('web').write_text(repr(sorted(os.environ))); time.sleep(600)"
    server.write(APP)
    command = (sys.executable, "-c", web)
    server.launch("--mules", "1", "--lazy-apps", "--", *command)
    loaders = server.expect(2, "NOTIFY_SOCKET=None,WATCHDOG=None")
    assert {event.by for event in loaders} >= {"mule1"}
    names = eventually("the web server", lambda: (server.directory / "web").exists() and Path("web").read_text())
    assert "PATH" in names
    assert "NOTIFY_SOCKET" not in names
    assert "WATCHDOG" not in names


def test_a_stopped_master_does_not_notify_the_watchdog(server, systemd, monkeypatch):
    """systemd then kills the service and starts it again. A master that goes on notifies again."""
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG * 1_000_000)))
    server.start(APP)
    for _ in range(3):
        systemd.until("WATCHDOG")
    server.process.send_signal(signal.SIGSTOP)
    await_state(server.master(), "T")
    systemd.drain()
    with pytest.raises(TimeoutError):
        systemd.receive(5 * WATCHDOG)
    server.process.send_signal(signal.SIGCONT)
    systemd.until("WATCHDOG")
    assert server.end() == 0


def test_the_watchdog_of_another_process(server, systemd, monkeypatch):
    """WATCHDOG_PID names the process that systemd watches."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    server.start(APP)
    server.process.send_signal(signal.SIGTERM)
    fields = set()
    while "STOPPING" not in fields:
        fields |= systemd.receive().keys()
    assert "WATCHDOG" not in fields
    assert server.wait() == 0


def test_an_application_that_cannot_be_loaded(server, systemd):
    """The server is never ready, and the status has the reason."""
    server.write("import nothing_of_that_name")
    server.launch()
    assert "READY" not in systemd.receive()
    assert "ModuleNotFoundError" in systemd.receive()["STATUS"]
    assert server.wait() == 2


def test_a_server_whose_systemd_is_gone(server, monkeypatch):
    """It runs, and says once that it cannot notify."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(server.directory / "missing"))
    server.start(APP)
    server.command("reload")
    assert server.end() == 0
    assert server.log.count("Cannot notify systemd") == 1


def test_the_unit_of_the_documentation_is_valid(tmp_path):
    """With this systemd. Before version 253, that is with the lines that the page gives for older ones."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not installed: systemd-analyze, which only a machine with systemd has")
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    text = UNIT.read_text()
    if int(re.match(r"systemd (\d+)", version)[1]) < 253:
        older = "Type=notify\nExecReload=/bin/kill -HUP $MAINPID\n"
        assert all(line in (UNIT.parents[1] / "how-to/deploy.md").read_text() for line in older.splitlines())
        text = text.replace("Type=notify-reload\n", older)
    text = text.replace("/srv/shop/venv/bin/heliograph", sys.executable)  # it must exist
    unit = tmp_path / "shop.service"
    unit.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert [line for line in done.stderr.splitlines() if "shop.service" in line] == []
    unit.write_text(text.replace("KillMode=mixed", "KillMode=any"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "shop.service" in done.stderr


def test_the_page_has_the_same_unit():
    """A reader may copy either."""
    page = (UNIT.parents[1] / "how-to/deploy.md").read_text()
    assert f"```ini\n{UNIT.read_text()}```" in page
