"""External signals to the heliograph server (D8)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.cli.uwsgi_server import find
from heliograph.exceptions import RemoteRejected
from heliograph.remote import send_signal
from heliograph.testing.harness.harness import eventually

WORK = """
@Signal(1).register_handler("mule1")
def by_option():
    record("by-option")

@Signal(2).register_handler("mule1", remote=True)
def by_itself():
    record("by-itself")

@Signal(3).register_handler("mule1")
def private():
    record("private")

@Signal(4).register_handler("mules", remote=True)
def each():
    record("each")
"""
ACCEPTED, REJECTED = b"\xff\0\0\1", b"\xff\0\0\0"


@pytest.fixture(params=["unix", "tcp"])
def up(request, server):
    """A server that accepts signal 1 by option, and the signals 2 and 4 because their handlers allow it."""
    if request.param == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server.remote_socket = f"127.0.0.1:{sock.getsockname()[1]}"
    return server.start(WORK, "--mules", "2", remote="1")


def _connect(server) -> socket.socket:
    if server.remote_socket.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(server.remote_socket)  # Without a timeout connect() waits while the backlog is full.
        sock.settimeout(20)
        return sock
    host, _, port = server.remote_socket.rpartition(":")
    return socket.create_connection((host, int(port)), 20)


def _ask(server, *pieces: bytes) -> bytes:
    """Send these pieces one by one. Return everything that the server answers until it closes the connection."""
    found = b""
    with _connect(server) as sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for piece in pieces:
            sock.sendall(piece)
        while chunk := sock.recv(4096):
            found += chunk
    return found


@pytest.mark.quick
def test_allowed_signals_are_handled(up):
    """Allowed by `--allow-remote` or by the handler. A broadcast reaches each receiver. All signals are counted."""
    up.send(1, 3)
    up.send(2, 3)
    up.send(4)
    up.expect(3, "by-option")
    up.expect(3, "by-itself")
    assert {event.by for event in up.expect(2, "each")} == {"mule1", "mule2"}
    up.await_row(4, sent=1, done=2)
    assert up.end() == 0


def test_other_signals_are_rejected(up):
    """Signals that are not allowed or not registered. The log gives the reason, at most once a second."""
    for num in (3, 200, 0, 255):
        with pytest.raises(RemoteRejected):
            up.send(num)
    assert _ask(up, b"\x6e\0\0\3") == REJECTED
    up.await_log("Rejected external signal: signal 3: external processes may not send it")
    assert up.log.count("Rejected external signal") <= 3
    up.send(1)
    up.expect(1, "by-option")
    assert not up.events("private")
    assert up.end() == 0


def test_invalid_packets_are_not_accepted(up):
    """The server closes the connection after HTTP, other packets and noise. It serves the next client."""
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0\1\2\0", b"\x6e\1\0\1", b"\xff" * 100_000, b"\r\n\r\n"):
        assert ACCEPTED not in _ask(up, noise)
    with _connect(up) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(16) == b""
    up.send(1)
    up.expect(1, "by-option")
    assert len(up.events()) == 1
    assert up.end() == 0


def test_a_packet_may_arrive_byte_by_byte(up):
    """The server answers after the fourth byte."""
    assert _ask(up, b"\x6e", b"\0", b"\0", b"\1") == ACCEPTED
    assert _ask(up, b"\x6e\0", b"\0\1") == ACCEPTED
    up.expect(2, "by-option")
    assert up.end() == 0


def test_incomplete_packets_do_not_block_others(up):
    """With a hundred clients that send half a packet, the next is served at once. No descriptor leaks."""
    descriptors = Path(f"/proc/{up.master()}/fd")
    before = len(list(descriptors.iterdir()))
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stack.enter_context(_connect(up)).sendall(b"\x6e\0")
        up.send(1)
        up.expect(1, "by-option")
    eventually("the old number of descriptors", lambda: len(list(descriptors.iterdir())) == before)
    assert up.end() == 0


def test_thousands_of_connections_lose_nothing(up):
    """Every accepted signal is handled. No descriptor leaks."""
    descriptors = Path(f"/proc/{up.master()}/fd")
    before = len(list(descriptors.iterdir()))
    accepted = 0
    for number in range(2000):
        if number % 2:
            _connect(up).close()
        else:
            accepted += _ask(up, b"\x6e\0\0\1") == ACCEPTED
    assert accepted == 1000
    up.expect(1000, "by-option")
    up.await_row(1, sent=1000, done=1000)
    eventually("the old number of descriptors", lambda: len(list(descriptors.iterdir())) == before)
    assert up.end() == 0


def test_a_signal_to_a_full_queue_is_rejected(server):
    """External senders do not wait. The rejection is counted, and every accepted signal is handled."""
    code = """
@Signal(1).register_handler("mule1")
def blocking():
    block_on("gate")

@Signal(2).register_handler("worker")
def fill():
    try:
        while True:
            Signal(1).send(timeout=0)
    except TimeoutError:
        record("full")
"""
    server.start(code, "--mules", "1", remote="1,2")
    server.send(2)
    server.expect(1, "full")
    with pytest.raises(RemoteRejected):
        server.send(1)
    server.await_log("signal 1: its queue is full")
    server.release("gate")
    sent = server.row(1)["sent"]
    server.await_row(1, done=sent, queued=0)
    server.send(1)
    server.await_row(1, sent=sent + 1, done=sent + 1)
    assert server.end() == 0


@pytest.mark.needs("uwsgi")
def test_uwsgi_sends_to_the_server(server, tmp_path):
    """`uwsgi.signal(num, address)` in a real uWSGI application. A rejected signal is an error there."""
    program = f"""
import os, uwsgi

def outcome(num):
    try:
        return uwsgi.signal(num, {server.remote_socket!r})
    except Exception as error:
        return repr(error)

with open("outcomes", "w") as file:
    file.write(f"{{outcome(1)}} {{outcome(3)}}")
os._exit(0)
"""
    server.start(WORK, "--mules", "2", remote="1")
    (tmp_path / "sender.py").write_text(program)
    uwsgi = find()
    command = [*uwsgi.command, *uwsgi.flags, "--socket", str(tmp_path / "theirs"), "--wsgi-file", "sender.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=20, check=False)
    accepted, rejected = (tmp_path / "outcomes").read_text().split(" ", 1)
    assert accepted == "None"
    assert "ValueError" in rejected
    server.expect(1, "by-option")
    assert not server.events("private")
    assert server.end() == 0


@pytest.mark.needs("uwsgi")
def test_the_uwsgi_command_sends_to_the_server(server):
    """`uwsgi --signal ADDRESS,NUM`, the client that operators have."""
    server.start(WORK, "--mules", "2", remote="1")
    uwsgi = str(Path(sys.executable).with_name("uwsgi"))
    done = subprocess.run(
        [uwsgi, "--signal", f"{server.remote_socket},1"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    server.expect(1, "by-option")
    assert server.end() == 0


def test_heliograph_send_sends_to_the_server(server):
    """The exit code is 0 if the signal is accepted and 1 if it is rejected."""
    server.start(WORK, "--mules", "2", remote="1")
    send_signal(1, server.remote_socket, 20.0)
    for num, code in ((1, 0), (3, 1)):
        command = [sys.executable, "-m", "heliograph", "send", str(num), server.remote_socket]
        assert subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == code
    server.expect(2, "by-option")
    assert server.end() == 0
