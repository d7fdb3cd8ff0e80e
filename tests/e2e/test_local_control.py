"""The control socket of a server of our own: for its owner only, and no client hangs or grows the master."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

WORK = """
@Signal(1).register_handler("worker")
def work():
    record("work")
"""


@pytest.fixture
def up(server):
    """A server that is up."""
    return server.start(WORK)


def _path(server) -> str:
    return str(server.directory / "heliograph" / "e2e.sock")


def _descriptors(server) -> int:
    return len(list(Path(f"/proc/{server.master()}/fd").iterdir()))


def _rss(server) -> int:
    """kB that the master takes."""
    lines = Path(f"/proc/{server.master()}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # without a timeout the kernel waits where too many others do
    sock.settimeout(20)
    return sock


def _answer(sock: socket.socket) -> bytes:
    """All that comes until the master closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65_536):
            found += chunk
    return found


def test_only_its_owner_can_ask(up):
    """0600 in a directory of 0700; another that can be entered by others is refused at the start."""
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


MALFORMED = (
    b"\n",
    b"nonsense\n",
    b"[]\n",
    b"17\n",
    b"\xff\xfe\x00\n",
    b"{}\n",
    b'{"do": null}\n',
    b'{"do": {"do": []}}\n',
    b'{"do": "' + b"x" * 3000 + b'"}\n',
    b"[" * 4000 + b"\n",
    b"1" * 4095 + b"\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)


def test_what_is_malformed_is_answered_by_an_error(up):
    """A line of JSON with the reason."""
    for asked in MALFORMED:
        with _connect(_path(up)) as sock:
            sock.sendall(asked)
            assert _answer(sock).startswith(b'{"error": ')
    assert up.command("signals").returncode == 0


def test_who_sends_too_much_is_sent_away(up):
    """Megabytes without a newline: the connection is closed, and the master has not grown."""
    before = _rss(up)
    for _ in range(20):
        with _connect(_path(up)) as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                sock.sendall(b"x" * 65_536)
            assert _answer(sock) == b""
    assert _rss(up) - before < 1024
    assert up.command("signals").returncode == 0


def test_who_is_silent_keeps_nobody_out(up):
    """A hundred clients that say nothing, or half a line: the next is served at once; in the end they are sent away."""
    before = _descriptors(up)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(_connect(_path(up))) for _ in range(100)]
        for sock in silent[::2]:
            with contextlib.suppress(BrokenPipeError):  # one of the first, who have been sent away for the last
                sock.sendall(b'{"do": ')
        done = up.command("signals")
        assert (done.returncode, done.stderr) == (0, "")
        assert _descriptors(up) <= before + 64
        for sock in silent:
            assert _answer(sock) == b""
    eventually("the descriptors are back", lambda: _descriptors(up) == before)


def test_who_does_not_read_its_answer_is_sent_away(up):
    """It takes its time, and the others are served meanwhile."""
    before = _descriptors(up)
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            sock = stack.enter_context(_connect(_path(up)))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.sendall(b'{"do": "signals"}\n')
        assert up.command("signals").returncode == 0
    eventually("the descriptors are back", lambda: _descriptors(up) == before)


def test_a_line_may_come_a_byte_at_a_time(up):
    """Slowly is not wrong."""
    with _connect(_path(up)) as sock:
        for byte in b'{"do": "signals"}\n':
            sock.sendall(bytes([byte]))
        assert b'"name": "e2e"' in _answer(sock)


def test_thousands_of_connections_leave_nothing(up):
    """Opened and closed at once, or with half a word: descriptors and memory are as before."""
    up.command("signals")
    before, rss = _descriptors(up), _rss(up)
    for number in range(3000):
        with _connect(_path(up)) as sock:
            if number % 3 == 0:
                sock.sendall(b'{"do"')
            elif number % 3 == 1:
                sock.sendall(b'{"do": "nothing"}\n')
    assert up.command("signals").returncode == 0
    eventually("the descriptors are back", lambda: _descriptors(up) == before)
    assert _rss(up) - rss < 1024
    up.send(1)
    up.expect(1, "work")


def test_idle_costs_nothing(server):
    """No process of an idle server wakes up: context switches over three seconds, and processor time."""
    server.start(WORK, "--workers", "2", "--mules", "2", "--farm", "crew=1,2", "--spooler", "spool")
    server.send(1)
    server.expect(1, "work")
    pids = {"master": server.master(), "fork server": server.fork_server(), **server.pids()}
    _let_pass(0.3)  # until all have gone to sleep after the question
    before = {who: _switches(pid) for who, pid in pids.items()}
    _let_pass(3.0)
    after = {who: _switches(pid) for who, pid in pids.items()}
    woken = {who: after[who][0] - before[who][0] for who in pids}
    assert max(woken.values()) <= 2, woken
    ticks = {who: after[who][1] - before[who][1] for who in pids}
    assert max(ticks.values()) == 0, ticks
    assert server.end() == 0


def _let_pass(seconds: float) -> None:
    """What is measured here is that nothing happens, so there is no event to wait for."""
    select.select([], [], [], seconds)


def _switches(pid: int) -> tuple[int, int]:
    """How often a process went to sleep by itself, and the clock ticks of processor time that it took."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    switches = next(int(line.split()[1]) for line in lines if line.startswith("voluntary"))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert os.sysconf("SC_CLK_TCK") == 100
    return switches, int(fields[11]) + int(fields[12])
