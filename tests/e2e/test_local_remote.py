"""Signals from outside to a server of our own: what is allowed is taken, and nothing else does any harm (D8)."""

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
TAKEN, REFUSED = b"\xff\0\0\1", b"\xff\0\0\0"


@pytest.fixture(params=["unix", "tcp"])
def up(request, server):
    """A server that takes signal 1 from outside because it was told to, and 2 and 4 because they say so."""
    if request.param == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server.remote_socket = f"127.0.0.1:{sock.getsockname()[1]}"
    return server.start(WORK, "--mules", "2", remote="1")


def _connect(server) -> socket.socket:
    if server.remote_socket.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(server.remote_socket)  # without a timeout the kernel waits where too many others do
        sock.settimeout(20)
        return sock
    host, _, port = server.remote_socket.rpartition(":")
    return socket.create_connection((host, int(port)), 20)


def _ask(server, *pieces: bytes) -> bytes:
    """What the server answers to these pieces, sent one by one, until it closes the connection."""
    found = b""
    with _connect(server) as sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for piece in pieces:
            sock.sendall(piece)
        while chunk := sock.recv(4096):
            found += chunk
    return found


def test_what_is_allowed_is_handled(up):
    """By --allow-remote, or by the handler itself; a broadcast reaches each; all of it is counted."""
    up.send(1, 3)
    up.send(2, 3)
    up.send(4)
    up.expect(3, "by-option")
    up.expect(3, "by-itself")
    assert {event.by for event in up.expect(2, "each")} == {"mule1", "mule2"}
    up.await_row(4, sent=1, done=2)
    assert up.end() == 0


def test_everything_else_is_answered_no(up):
    """What is not allowed and what is not registered; the log says why, once a second at most."""
    for num in (3, 200, 0, 255):
        with pytest.raises(RemoteRejected):
            up.send(num)
    assert _ask(up, b"\x6e\0\0\3") == REFUSED
    up.await_log("refused from outside: signal 3: it may not be raised from outside")
    assert up.log.count("refused from outside") <= 3
    up.send(1)
    up.expect(1, "by-option")
    assert not up.events("private")
    assert up.end() == 0


def test_what_is_no_packet_is_sent_away(up):
    """HTTP, another packet of the protocol, noise, nothing: closed, not answered by 01; the next is served."""
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0\1\2\0", b"\x6e\1\0\1", b"\xff" * 100_000, b"\r\n\r\n"):
        assert TAKEN not in _ask(up, noise)
    with _connect(up) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(16) == b""
    up.send(1)
    up.expect(1, "by-option")
    assert len(up.events()) == 1
    assert up.end() == 0


def test_a_packet_may_come_a_byte_at_a_time(up):
    """And what follows it is not read."""
    assert _ask(up, b"\x6e", b"\0", b"\0", b"\1") == TAKEN
    assert _ask(up, b"\x6e\0", b"\0\1") == TAKEN
    up.expect(2, "by-option")
    assert up.end() == 0


def test_half_a_packet_keeps_nobody_out(up):
    """A hundred that stop in the midst: the next is served at once, and nothing of them stays."""
    descriptors = Path(f"/proc/{up.master()}/fd")
    before = len(list(descriptors.iterdir()))
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stack.enter_context(_connect(up)).sendall(b"\x6e\0")
        up.send(1)
        up.expect(1, "by-option")
    eventually("the descriptors are back", lambda: len(list(descriptors.iterdir())) == before)
    assert up.end() == 0


def test_thousands_of_connections_lose_nothing(up):
    """Each that was answered 01 is handled; descriptors are as before."""
    descriptors = Path(f"/proc/{up.master()}/fd")
    before = len(list(descriptors.iterdir()))
    taken = 0
    for number in range(2000):
        if number % 2:
            _connect(up).close()
        else:
            taken += _ask(up, b"\x6e\0\0\1") == TAKEN
    assert taken == 1000
    up.expect(1000, "by-option")
    up.await_row(1, sent=1000, done=1000)
    eventually("the descriptors are back", lambda: len(list(descriptors.iterdir())) == before)
    assert up.end() == 0


def test_a_full_queue_is_answered_no(server):
    """Nobody outside waits for room: 00, counted as refused; what was answered 01 is handled."""
    code = """
@Signal(1).register_handler("mule1")
def held():
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


def test_real_uwsgi_sends_to_us(server, tmp_path):
    """`uwsgi.signal(num, address)` of a real server, from its application: taken, or an error where we say no."""
    program = f"""
import os, uwsgi

def said(num):
    try:
        return uwsgi.signal(num, {server.remote_socket!r})
    except Exception as error:
        return repr(error)

with open("said", "w") as file:
    file.write(f"{{said(1)}} {{said(3)}}")
os._exit(0)
"""
    server.start(WORK, "--mules", "2", remote="1")
    (tmp_path / "sender.py").write_text(program)
    uwsgi = find()
    command = [*uwsgi.command, *uwsgi.flags, "--socket", str(tmp_path / "theirs"), "--wsgi-file", "sender.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=20, check=False)
    accepted, refused = (tmp_path / "said").read_text().split(" ", 1)
    assert accepted == "None"
    assert "ValueError" in refused
    server.expect(1, "by-option")
    assert not server.events("private")
    assert server.end() == 0


def test_the_binarys_own_option_sends_to_us(server):
    """`uwsgi --signal ADDRESS,NUM`, the client that operators have."""
    server.start(WORK, "--mules", "2", remote="1")
    uwsgi = str(Path(sys.executable).with_name("uwsgi"))
    done = subprocess.run(
        [uwsgi, "--signal", f"{server.remote_socket},1"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    server.expect(1, "by-option")
    assert server.end() == 0


def test_our_own_command_sends_to_us(server):
    """`heliograph send`: exit code 0 where it is taken, 1 where not; from the same machine, over TCP too."""
    server.start(WORK, "--mules", "2", remote="1")
    send_signal(1, server.remote_socket, 20.0)
    for num, code in ((1, 0), (3, 1)):
        command = [sys.executable, "-m", "heliograph", "send", str(num), server.remote_socket]
        assert subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == code
    server.expect(2, "by-option")
    assert server.end() == 0
