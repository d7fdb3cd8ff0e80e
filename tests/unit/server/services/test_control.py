"""The control socket: whatever is asked, there is an answer or the end, and the master goes on."""

import json
import os
import socket
import stat
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import request
from heliograph.server.services import control
from heliograph.server.services.control import MAX_REQUEST_BYTES, ControlServer

HELP = {"error": 'ask with a line of JSON: {"do": "signals"}'}


@pytest.fixture
def path(directory):
    return directory / "control.sock"


@pytest.fixture
def asked():
    """What the master was asked."""
    return []


@pytest.fixture
def server(loop, path, asked):
    def answer(request, pid):
        assert pid == os.getpid()
        asked.append(request)
        known = request.get("do") in ("signals", "stop")
        return ({"pid": 4711} if known else {"error": f"cannot do {request.get('do')!r}"}), ()

    server = ControlServer(path, loop.selector, answer)
    loop.fronts.append(server)
    return server


def said(loop, server, path, request: bytes) -> bytes:
    """What is answered to these bytes, until the connection is closed."""
    peer = loop.connect(path)
    peer.sendall(request)
    peer.shutdown(socket.SHUT_WR)
    loop.turn(server)
    found = b""
    while chunk := peer.recv(65_536):
        found += chunk
    peer.close()
    return found


def test_a_line_asks_and_a_line_answers(loop, server, path, asked):
    """Of JSON; the master is asked once."""
    assert json.loads(said(loop, server, path, b'{"do": "signals", "count": 5}\n')) == {"pid": 4711}
    assert asked == [{"do": "signals", "count": 5}]


def test_an_unknown_verb_is_the_masters_to_answer(loop, server, path):
    """As it does: with an error."""
    assert json.loads(said(loop, server, path, b'{"do": "dance"}\n')) == {"error": "cannot do 'dance'"}
    assert json.loads(said(loop, server, path, b"{}\n")) == {"error": "cannot do None"}


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b" ", b"hello", b"{", b'{"do"', b"{'do': 'signals'}", b"\xff\xfe", b"\0", b"GET / HTTP/1.1\r"),
        *(b"[]", b'["do"]', b"5", b"null", b'"signals"', b"NaN", b"[" * 4000, b'{"a":' * 700, b"1" * 4000),
    ],
    ids=lambda line: repr(line[:20]),
)
def test_what_is_no_request_is_told_how_to_ask(loop, server, path, asked, line):
    """Broken JSON, JSON that is no object, nested as deep as there is room for, other protocols."""
    assert json.loads(said(loop, server, path, line + b"\n")) == HELP
    assert asked == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.binary(max_size=200))
def test_any_bytes_are_answered_or_closed(loop, server, path, line):
    """Nothing that is sent is raised in the master."""
    found = said(loop, server, path, line)
    assert found == b"" if b"\n" not in line else isinstance(json.loads(found), dict)


def test_a_huge_request_is_cut_off(loop, server, path, asked):
    """At 4 KiB, without an answer."""
    peer = loop.connect(path)
    peer.setblocking(False)
    peer.send(b'{"do": "' + b"x" * MAX_REQUEST_BYTES * 3)
    loop.turn(server)
    with pytest.raises(OSError):
        peer.send(b"more")
    assert asked == []
    assert server.deadline == float("inf")


def test_only_the_first_line_counts(loop, server, path, asked):
    """A connection is one question."""
    assert said(loop, server, path, b'{"do": "stop"}\n{"do": "signals"}\n').count(b"\n") == 1
    assert asked == [{"do": "stop"}]


def test_the_socket_is_its_owners(loop, server, path):
    """0600, whatever the mask; and the mask is as it was."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = os.umask(0o022)
    os.umask(before)
    server.close()
    loop.fronts.clear()
    os.umask(0)
    try:
        loop.fronts.append(ControlServer(path, loop.selector, dict))
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_user_is_not_answered(loop, server, path, asked, monkeypatch):
    """The kernel says who connects; the connection is closed before a byte is read."""

    class Foreign(socket.socket):
        def getsockopt(self, level, option, size=0):
            assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return struct.pack("3i", 1, os.getuid() + 1, 0)

    peer = loop.connect(path)
    with Foreign(socket.AF_UNIX) as sock:
        assert not server.accepts_peer(sock)
    assert server.accepts_peer(peer)
    monkeypatch.setattr(control.os, "getuid", lambda: 12_345)
    loop.turn(server)
    assert peer.recv(10) == b""
    assert asked == []


def test_a_file_of_a_dead_master_is_replaced(loop, path):
    """And gone when this one ends."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ControlServer(path, loop.selector, dict)
    server.close()
    assert not path.exists()
    server._path.touch()
    server._path.unlink()


# the other side


def served_by(server, loop, asking):
    """What `asking()` returns or raises in a thread, while the loop serves."""
    found = []

    def run():
        try:
            found.append(asking())
        except ConfigError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        for key, _ in loop.selector.select(0.01):
            key.data(loop.now)
    thread.join()
    return found[0]


def test_asking(loop, server, path):
    """The answer as it is; an error in it is a `ConfigError`."""
    assert served_by(server, loop, lambda: request(path, {"do": "signals"})) == {"pid": 4711}
    failure = served_by(server, loop, lambda: request(path, {"do": "dance"}))
    assert isinstance(failure, ConfigError)
    assert str(failure) == "cannot do 'dance'"


def test_asking_nobody(path):
    """No socket, or one that nobody listens at: the error says where and why."""
    with pytest.raises(ConfigError, match=rf"no server answers at {path} \(No such file"):
        request(path, {"do": "signals"})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        with pytest.raises(ConfigError, match="no server answers"):
            request(path, {"do": "signals"})


def test_asking_one_that_closes(loop, server, path, monkeypatch):
    """A master of another user."""
    monkeypatch.setattr(ControlServer, "accepts_peer", lambda _self, _sock: False)
    failure = served_by(server, loop, lambda: request(path, {"do": "signals"}))
    assert isinstance(failure, ConfigError)


def test_asking_one_that_is_silent(path):
    """It is given up in time."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(ConfigError, match="no server answers"):
            request(path, {"do": "signals"}, timeout=0.05)
