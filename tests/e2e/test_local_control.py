"""The control socket of the heliograph server: only its owner can use it, and no client can block the master."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
from pathlib import Path

import pytest

from heliograph.ipc.control_client import ControlClient
from heliograph.testing.harness.harness import eventually

WORK = """
@Signal(1).register_handler("worker")
def work():
    record("work")
"""


@pytest.fixture
def up(server):
    """A running server."""
    return server.start(WORK)


def _path(server) -> str:
    return str(server.directory / "heliograph" / "e2e.sock")


def _descriptors(server) -> int:
    return len(list(Path(f"/proc/{server.master()}/fd").iterdir()))


def _rss(server) -> int:
    """Return the memory of the master in kB."""
    lines = Path(f"/proc/{server.master()}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # Without a timeout connect() waits while the backlog is full.
    sock.settimeout(20)
    return sock


def _answer(sock: socket.socket) -> bytes:
    """Return everything that the master sends until it closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65_536):
            found += chunk
    return found


def test_only_the_owner_can_use_the_control_socket(up):
    """Modes 0600 and 0700. A server does not start if others can enter the directory."""
    path = Path(_path(up))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert up.end() == 0
    path.parent.chmod(0o755)
    done = up.command("signals")
    assert done.returncode == 2
    assert "chmod 700" in done.stderr
    up.launch()
    assert up.wait() == 2
    path.parent.chmod(0o700)


def _frame(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


STATE = _frame(b'{"version": 1, "id": 1, "verb": "state"}')
UNKNOWN = _frame(b'{"version": 1, "id": 1, "verb": "nothing"}')

MALFORMED = (
    _frame(b"nonsense"),
    _frame(b"[]"),
    _frame(b"17"),
    _frame(b"\xff\xfe\x00"),
    _frame(b"{}"),
    _frame(b'{"version": 1, "id": 1, "verb": null}'),
    _frame(b'{"version": 1, "id": 1, "verb": {"verb": []}}'),
    _frame(b'{"version": 1, "id": 1, "verb": "' + b"x" * 60_000 + b'"}'),
    _frame(b'{"version": 1, "id": 1, "verb": "state", "arguments": {"x": 1}}'),
    _frame(b'{"version": 9, "id": 1, "verb": "state"}'),
    _frame(b"[" * 65_000),
    _frame(b"1" * 65_536),
    bytes(4),
    b'{"do": "signals"}\n',
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)


def _message(sock: socket.socket) -> dict:
    """Return one message of the master."""
    length = int.from_bytes(sock.recv(4, socket.MSG_WAITALL), "big")
    return json.loads(sock.recv(length, socket.MSG_WAITALL))


def test_a_malformed_request_is_answered_with_an_error(up):
    """The error has a code and a reason."""
    for asked in MALFORMED:
        with _connect(_path(up)) as sock:
            sock.sendall(asked)
            message = _message(sock)
            assert message["version"] == 1
            assert message["error"]["code"] in {"malformed", "version", "unknown_verb", "bad_argument"}, asked
            assert len(message["error"]["message"]) < 250
    assert up.command("signals").returncode == 0


def test_a_connection_carries_many_requests(up):
    """The master answers them in order and keeps the connection open."""
    with _connect(_path(up)) as sock:
        sock.sendall(STATE + UNKNOWN + STATE)
        assert ["result" in _message(sock) for _ in range(3)] == [True, False, True]


def test_a_request_that_is_too_long_is_closed(up):
    """Megabytes that are no frame get an error. The connection is closed, and the master uses no more memory."""
    before = _rss(up)
    for _ in range(20):
        with _connect(_path(up)) as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                sock.sendall(b"x" * 65_536)
            assert b"bad frame length" in _answer(sock)
            assert _answer(sock) == b""
    assert _rss(up) - before < 1024
    assert up.command("signals").returncode == 0


def test_silent_clients_do_not_block_others(up):
    """A hundred clients send nothing or half a request. The next is served at once, and the silent ones are closed."""
    before = _descriptors(up)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(_connect(_path(up))) for _ in range(100)]
        for sock in silent[::2]:
            with contextlib.suppress(BrokenPipeError):  # The master closes the first ones to serve the last.
                sock.sendall(STATE[:10])
        done = up.command("signals")
        assert (done.returncode, done.stderr) == (0, "")
        assert _descriptors(up) <= before + 64
        for sock in silent:
            assert _answer(sock) == b""
    eventually("the old number of descriptors", lambda: _descriptors(up) == before)


def test_a_client_that_does_not_read_its_answer_is_closed(up):
    """The master serves other clients meanwhile."""
    before = _descriptors(up)
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            sock = stack.enter_context(_connect(_path(up)))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.sendall(STATE)
        assert up.command("signals").returncode == 0
    eventually("the old number of descriptors", lambda: _descriptors(up) == before)


def test_a_request_may_arrive_byte_by_byte(up):
    """A slow request is valid."""
    with _connect(_path(up)) as sock:
        for byte in STATE:
            sock.sendall(bytes([byte]))
        assert _message(sock)["result"]["name"] == "e2e"


def test_thousands_of_connections_leak_nothing(up):
    """After connections that close at once or after half a request, descriptors and memory are as before."""
    up.command("signals")
    before, rss = _descriptors(up), _rss(up)
    for number in range(3000):
        with _connect(_path(up)) as sock:
            if number % 3 == 0:
                sock.sendall(STATE[:10])
            elif number % 3 == 1:
                sock.sendall(UNKNOWN)
    assert up.command("signals").returncode == 0
    eventually("the old number of descriptors", lambda: _descriptors(up) == before)
    assert _rss(up) - rss < 1024
    up.send(1)
    up.expect(1, "work")


def test_subscribers_get_changes_and_cost_nothing(server):
    """A subscriber follows a crash and a reload. While nothing happens, the master does not wake up."""
    server.start(WORK, "--mules", "1")
    found: list[dict] = []
    with ControlClient(Path(_path(server)), timeout=20) as client:
        events = client.subscribe()
        state = next(events)
        assert state["processes"] == server.pids()
        _let_pass(0.3)
        before = _switches(server.master())
        _let_pass(1.0)
        assert _switches(server.master())[0] - before[0] <= 1
        mule = server.kill("mule1")
        found.append(next(events))
        while found[-1]["type"] != "complete":
            found.append(next(events))
        assert {event["pid"] for event in found if event["type"] == "process_exited"} <= {mule}
        assert server.pids()["mule1"] in {event.get("pid") for event in found}
        found.clear()
        assert server.command("reload").returncode == 0
        while not found or found[-1]["type"] != "complete":
            found.append(next(events))
        assert [event["type"] for event in found[:2]] == ["loading", "generation"]
        assert found[-1] == {"type": "complete", "generation": 2}
        assert server.end() == 0
        assert [event["type"] for event in events][-1] == "stopped"


def test_an_idle_server_does_not_wake_up(server):
    """No process switches context or uses processor time during three seconds."""
    server.start(WORK, "--workers", "2", "--mules", "2", "--farm", "crew=1,2", "--spooler", "spool")
    server.send(1)
    server.expect(1, "work")
    pids = {"master": server.master(), "fork server": server.fork_server(), **server.pids()}
    _let_pass(0.3)  # Until all processes sleep again after the request.
    before = {process: _switches(pid) for process, pid in pids.items()}
    _let_pass(3.0)
    after = {process: _switches(pid) for process, pid in pids.items()}
    woken = {process: after[process][0] - before[process][0] for process in pids}
    assert max(woken.values()) <= 2, woken
    ticks = {process: after[process][1] - before[process][1] for process in pids}
    assert max(ticks.values()) == 0, ticks
    assert server.end() == 0


def _let_pass(seconds: float) -> None:
    """Sleep. The test measures that nothing happens, so there is no event to wait for."""
    select.select([], [], [], seconds)


def _switches(pid: int) -> tuple[int, int]:
    """Return the voluntary context switches of a process and its processor time in clock ticks."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    switches = next(int(line.split()[1]) for line in lines if line.startswith("voluntary"))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert os.sysconf("SC_CLK_TCK") == 100
    return switches, int(fields[11]) + int(fields[12])
