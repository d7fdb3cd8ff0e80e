"""Clients of the master: real sockets on a loop that never waits. None may hang or grow it."""

import os
import socket

import pytest

from heliograph.ipc.request_server import MAX_CLIENTS, Reply, RequestServer

MOST, PATIENCE = 16, 5.0


def respond(asked: bytes, _sock: socket.socket) -> Reply | None:
    """A line is answered in capitals, an empty one by nothing, a `big` one by a megabyte, a number by descriptors."""
    line, newline, _ = asked.partition(b"\n")
    if not newline:
        return None
    if line.isdigit():
        return Reply(b"here\n", (0,) * int(line))
    return Reply(b"x" * (1 << 20) if line == b"big" else line.upper())


@pytest.fixture
def path(directory):
    return directory / "sock"


@pytest.fixture
def clients(loop, path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    clients = RequestServer(listener, loop.selector, respond, MOST, PATIENCE)
    loop.fronts.append(clients)
    return clients


def received(peer) -> bytes:
    """All that comes until the connection is closed, and that it is."""
    found = b""
    while chunk := peer.recv(65_536):
        found += chunk
    return found


def served(clients) -> int:
    return len(clients._clients)


def test_a_request_is_answered_and_the_connection_closed(loop, clients, path):
    """Whole, or byte by byte."""
    whole, slow = loop.connect(path), loop.connect(path)
    whole.sendall(b"hello\n")
    loop.turn(clients)
    assert received(whole) == b"HELLO"
    for byte in b"world\n":
        slow.sendall(bytes((byte,)))
        loop.turn(clients)
    assert received(slow) == b"WORLD"
    assert served(clients) == 0


def test_an_empty_answer_closes(loop, clients, path):
    """Without a byte."""
    peer = loop.connect(path)
    peer.sendall(b"\n")
    loop.turn(clients)
    assert received(peer) == b""


@pytest.mark.parametrize("sent", [b"", b"half"])
def test_half_a_request_and_an_end(loop, clients, path, sent):
    """Whoever goes, or sends no more, is forgotten; nothing is answered."""
    gone, silent = loop.connect(path), loop.connect(path)
    for peer in (gone, silent):
        peer.sendall(sent)
    loop.turn(clients)
    assert served(clients) == 2
    gone.close()
    silent.shutdown(socket.SHUT_WR)
    loop.turn(clients)
    assert received(silent) == b""
    assert served(clients) == 0


def test_a_request_whose_sender_sends_no_more_is_answered(loop, clients, path):
    """It may have closed its half already."""
    peer = loop.connect(path)
    peer.sendall(b"hello\n")
    peer.shutdown(socket.SHUT_WR)
    loop.turn(clients)
    assert received(peer) == b"HELLO"


def test_a_request_is_bounded(loop, clients, path):
    """At so many bytes without an end the connection is closed, whatever follows; not before."""
    peer = loop.connect(path)
    peer.sendall(b"x" * (MOST - 1))
    loop.turn(clients)
    assert served(clients) == 1
    peer.sendall(b"x")
    loop.turn(clients)
    assert served(clients) == 0
    assert received(peer) == b""


def test_time_is_bounded(loop, clients, path):
    """A silent client, one that sends a byte now and then, one that does not read: each goes when its time is over."""
    assert clients.deadline == float("inf")
    silent = loop.connect(path)
    loop.turn(clients)
    assert clients.deadline == loop.now + PATIENCE
    loop.now += 2.0
    slow, deaf = loop.connect(path), loop.connect(path)
    slow.sendall(b"x")
    deaf.sendall(b"big\n")
    loop.turn(clients)
    loop.now += PATIENCE - 2.0
    slow.sendall(b"x")
    loop.turn(clients)
    clients.tick(loop.now)
    assert received(silent) == b""
    assert served(clients) == 2
    assert clients.deadline == loop.now + 2.0
    loop.now += 2.0
    clients.tick(loop.now)
    assert (served(clients), clients.deadline) == (0, float("inf"))
    assert received(slow) == b""
    assert len(received(deaf)) < 1 << 20


def test_a_slow_reader_gets_it_all(loop, clients, path):
    """Of a long answer what there is room for, again and again; the others are served meanwhile."""
    slow, quick, found = loop.connect(path), loop.connect(path), 0
    slow.sendall(b"big\n")
    loop.turn(clients)
    quick.sendall(b"hello\n")
    loop.turn(clients)
    assert received(quick) == b"HELLO"
    while chunk := slow.recv(4096):
        found += len(chunk)
        loop.turn(clients)
    assert found == 1 << 20


def test_a_reader_that_goes_is_forgotten(loop, clients, path):
    """In the midst of its answer."""
    peer = loop.connect(path)
    peer.sendall(b"big\n")
    loop.turn(clients)
    assert served(clients) == 1
    peer.close()
    loop.turn(clients)
    assert served(clients) == 0


def test_the_number_of_clients_is_bounded(loop, clients, path):
    """One more takes the place of who has been there longest: silent ones keep nobody out."""
    silent = [loop.connect(path) for _ in range(MAX_CLIENTS)]
    loop.turn(clients)
    assert served(clients) == MAX_CLIENTS
    late = loop.connect(path)
    late.sendall(b"hello\n")
    loop.turn(clients)
    assert received(late) == b"HELLO"
    assert received(silent[0]) == b""
    assert served(clients) == MAX_CLIENTS - 1
    silent[1].sendall(b"still\n")
    loop.turn(clients)
    assert received(silent[1]) == b"STILL"


def test_one_that_is_sent_away_while_it_speaks(loop, clients, path):
    """Its bytes and its successor's connection are found in one turn, in whichever order: no error, no mix-up."""
    silent = [loop.connect(path) for _ in range(MAX_CLIENTS)]
    loop.turn(clients)
    silent[0].sendall(b"too late\n")
    new = [loop.connect(path) for _ in range(2)]
    for peer in new:
        peer.sendall(b"new\n")
    loop.turn(clients)
    assert [received(peer) for peer in new] == [b"NEW"] * 2
    assert received(silent[1]) == b""


def test_hundreds_of_clients_one_after_the_other(loop, clients, path):
    """No more are open than may be at a time, on either side of the counter."""
    for number in range(500):
        peer = loop.connect(path)
        peer.sendall(b"hello\n" if number % 2 else b"x")
        loop.turn(clients)
        assert served(clients) <= MAX_CLIENTS
        peer.close()
    loop.turn(clients)
    assert served(clients) == 0


def test_a_connection_that_is_gone_before_it_is_accepted(loop, clients, path):
    """Nothing is left of it."""
    loop.connect(path).close()
    loop.turn(clients)
    assert served(clients) == 0


def test_whoever_is_not_admitted_is_closed(loop, clients, path, monkeypatch):
    """Before a byte is read; it takes nobody's place."""
    monkeypatch.setattr(type(clients), "accepts_peer", lambda _self, _sock: False)
    peer = loop.connect(path)
    loop.turn(clients)
    assert received(peer) == b""
    assert served(clients) == 0


def test_the_end_leaves_nothing_open(loop, clients, path, descriptors):
    """Clients in all states, the listener, and the selector's entries."""
    before = descriptors()
    idle, half, deaf = (loop.connect(path) for _ in range(3))
    half.sendall(b"half")
    deaf.sendall(b"big\n")
    loop.turn(clients)
    assert descriptors() == before + 6
    loop.fronts.clear()
    clients.close()
    assert descriptors() == before + 3 - 1
    assert len(loop.selector.get_map()) == 0
    assert received(idle) == received(half) == b""


@pytest.mark.parametrize("count", [1, 253, 254, 600])
def test_descriptors_go_with_an_answer(loop, clients, path, count):
    """As many as there are, in pieces where the kernel passes no more at a time."""
    peer = loop.connect(path)
    peer.sendall(b"%d\n" % count)
    loop.turn(clients)
    text, found = b"", []
    while True:
        piece, descriptors, _, _ = socket.recv_fds(peer, 100, 253)
        found += descriptors
        text += piece
        if not piece:
            break
    for fd in found:
        os.close(fd)
    assert (text, len(found)) == (b"here\n", count)
