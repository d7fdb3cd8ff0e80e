"""Clients of the master: real sockets on a loop that never waits. No client can block the master or use up memory."""

import errno
import os
import selectors
import socket

import pytest

from heliograph.ipc.request_server import MAX_CLIENTS, MAX_HELD, Connection, ConnectionServer, Reply, RequestServer
from heliograph.loop import Loop, Service

MAX_BYTES, TIMEOUT = 16, 5.0
BIG = 1 << 20


def respond(asked: bytes, _sock: socket.socket) -> Reply | None:
    """A line is answered in capitals, an empty line by nothing, `big` by a megabyte."""
    line, newline, _ = asked.partition(b"\n")
    if not newline:
        return None
    return Reply(b"x" * BIG if line == b"big" else line.upper())


class Lines(ConnectionServer):
    """Answers each line of a connection; `hold` and `release` hold it, a number brings descriptors."""

    def __init__(self, listener, selector, timeout, clock):
        super().__init__(listener, selector, timeout, clock)
        self.handled: list[bytes] = []
        self.held: list[Connection] = []

    def handle(self, connection: Connection) -> bool:
        line, newline, rest = bytes(connection.received).partition(b"\n")
        if not newline:
            return False
        connection.received[:] = rest
        self.handled.append(line)
        if line == b"hold":
            connection.send(b"held\n" if connection.hold() else b"full\n")
            self.held.append(connection)
        elif line.isdigit():
            connection.send(b"here\n", (0,) * int(line))
        elif line == b"own":
            owned = tuple(os.dup(0) for _ in range(3))
            connection.send(b"here\n", owned, owned)
        else:
            connection.send(b"x" * BIG if line == b"big" else line.upper() + b"\n")
        return True


@pytest.fixture
def path(directory):
    return directory / "sock"


@pytest.fixture
def listener(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    return listener


@pytest.fixture
def server(loop, listener):
    server = RequestServer(listener, loop.selector, respond, MAX_BYTES, TIMEOUT, loop.clock)
    loop.listeners.append(server)
    return server


@pytest.fixture
def lines(loop, listener):
    server = Lines(listener, loop.selector, TIMEOUT, loop.clock)
    loop.listeners.append(server)
    return server


def received(peer) -> bytes:
    """All that comes until the connection is closed, and that it is."""
    found = b""
    while chunk := peer.recv(65_536):
        found += chunk
    return found


def open_connections(server) -> int:
    return len(server._connections)


def test_a_request_is_answered_and_the_connection_closed(loop, server, path):
    """Whole, or byte by byte."""
    whole, slow = loop.connect(path), loop.connect(path)
    whole.sendall(b"hello\n")
    loop.run_ready(server)
    assert received(whole) == b"HELLO"
    for byte in b"world\n":
        slow.sendall(bytes((byte,)))
        loop.run_ready(server)
    assert received(slow) == b"WORLD"
    assert open_connections(server) == 0


def test_an_empty_answer_closes(loop, server, path):
    """Without a byte."""
    peer = loop.connect(path)
    peer.sendall(b"\n")
    loop.run_ready(server)
    assert received(peer) == b""


@pytest.mark.parametrize("sent", [b"", b"half"])
def test_a_client_that_goes_is_forgotten(loop, server, path, sent):
    """It may close the connection or send no more. It gets no answer."""
    gone, silent = loop.connect(path), loop.connect(path)
    for peer in (gone, silent):
        peer.sendall(sent)
    loop.run_ready(server)
    assert open_connections(server) == 2
    gone.close()
    silent.shutdown(socket.SHUT_WR)
    loop.run_ready(server)
    assert received(silent) == b""
    assert open_connections(server) == 0


def test_a_request_whose_sender_sends_no_more_is_answered(loop, server, path):
    """It may have closed its half already."""
    peer = loop.connect(path)
    peer.sendall(b"hello\n")
    peer.shutdown(socket.SHUT_WR)
    loop.run_ready(server)
    assert received(peer) == b"HELLO"


def test_a_request_is_bounded(loop, server, path):
    """At so many bytes without an end the server closes the connection, whatever follows; not before."""
    peer = loop.connect(path)
    peer.sendall(b"x" * (MAX_BYTES - 1))
    loop.run_ready(server)
    assert open_connections(server) == 1
    peer.sendall(b"x")
    loop.run_ready(server)
    assert open_connections(server) == 0
    assert received(peer) == b""


def test_time_is_bounded(loop, server, path):
    """A silent client, one that sends a byte now and then, one that does not read: each is closed in time."""
    assert server.deadline == float("inf")
    silent = loop.connect(path)
    loop.run_ready(server)
    assert server.deadline == loop.now + TIMEOUT
    loop.now += 2.0
    slow, deaf = loop.connect(path), loop.connect(path)
    slow.sendall(b"x")
    deaf.sendall(b"big\n")
    loop.run_ready(server)
    loop.now += TIMEOUT - 2.0
    slow.sendall(b"x")
    loop.run_ready(server)
    server.tick(loop.now)
    assert received(silent) == b""
    assert open_connections(server) == 2
    assert server.deadline == loop.now + 2.0
    loop.now += 2.0
    server.tick(loop.now)
    assert (open_connections(server), server.deadline) == (0, float("inf"))
    assert received(slow) == b""
    assert len(received(deaf)) < BIG


def test_a_slow_reader_gets_it_all(loop, server, path):
    """A long answer goes in pieces, as the client reads; others are served meanwhile."""
    slow, quick, found = loop.connect(path), loop.connect(path), 0
    slow.sendall(b"big\n")
    loop.run_ready(server)
    quick.sendall(b"hello\n")
    loop.run_ready(server)
    assert received(quick) == b"HELLO"
    while chunk := slow.recv(4096):
        found += len(chunk)
        loop.run_ready(server)
    assert found == BIG


def test_a_reader_that_goes_is_forgotten(loop, server, path):
    """Within its answer."""
    peer = loop.connect(path)
    peer.sendall(b"big\n")
    loop.run_ready(server)
    assert open_connections(server) == 1
    peer.close()
    loop.run_ready(server)
    assert open_connections(server) == 0


def test_the_number_of_clients_is_bounded(loop, server, path):
    """One more replaces the one that has been connected longest: silent clients do not lock others out."""
    silent = [loop.connect(path) for _ in range(MAX_CLIENTS)]
    loop.run_ready(server)
    assert open_connections(server) == MAX_CLIENTS
    late = loop.connect(path)
    late.sendall(b"hello\n")
    loop.run_ready(server)
    assert received(late) == b"HELLO"
    assert received(silent[0]) == b""
    assert open_connections(server) == MAX_CLIENTS - 1
    silent[1].sendall(b"still\n")
    loop.run_ready(server)
    assert received(silent[1]) == b"STILL"


def test_a_client_is_replaced_while_it_sends(loop, server, path):
    """Its bytes and its successor's connection are found in one turn, in whichever order: no error, no mix-up."""
    silent = [loop.connect(path) for _ in range(MAX_CLIENTS)]
    loop.run_ready(server)
    silent[0].sendall(b"too late\n")
    new = [loop.connect(path) for _ in range(2)]
    for peer in new:
        peer.sendall(b"new\n")
    loop.run_ready(server)
    assert [received(peer) for peer in new] == [b"NEW"] * 2
    assert received(silent[1]) == b""


def test_hundreds_of_clients_one_after_the_other(loop, server, path):
    """The number of open connections stays within its bound."""
    for number in range(500):
        peer = loop.connect(path)
        peer.sendall(b"hello\n" if number % 2 else b"x")
        loop.run_ready(server)
        assert open_connections(server) <= MAX_CLIENTS
        peer.close()
    loop.run_ready(server)
    assert open_connections(server) == 0


def test_a_connection_that_is_gone_before_it_is_accepted(loop, server, path):
    """Nothing is left of it."""
    loop.connect(path).close()
    loop.run_ready(server)
    assert open_connections(server) == 0


def test_a_peer_that_is_not_accepted_is_closed(loop, server, path, monkeypatch):
    """Before a byte is read; it replaces no client."""
    monkeypatch.setattr(type(server), "accepts_peer", lambda _self, _sock: False)
    peer = loop.connect(path)
    loop.run_ready(server)
    assert received(peer) == b""
    assert open_connections(server) == 0


def test_the_end_leaves_nothing_open(loop, server, path, descriptors):
    """Clients in all states, the listener, and the selector's entries."""
    before = descriptors()
    idle, half, deaf = (loop.connect(path) for _ in range(3))
    half.sendall(b"half")
    deaf.sendall(b"big\n")
    loop.run_ready(server)
    assert descriptors() == before + 6
    loop.listeners.clear()
    server.close()
    assert descriptors() == before + 3 - 1
    assert len(loop.selector.get_map()) == 0
    assert received(idle) == received(half) == b""


# several requests on a connection


def test_a_connection_carries_many_requests(loop, lines, path):
    """One after the other, all at once, and cut anywhere."""
    peer = loop.connect(path)
    for word in (b"one\n", b"two\nthree\nfo", b"ur\n"):
        peer.sendall(word)
        loop.run_ready(lines)
    assert peer.recv(100) == b"ONE\nTWO\nTHREE\nFOUR\n"
    assert open_connections(lines) == 1


def test_a_turn_handles_one_request_of_a_client(loop, lines, path):
    """A client that sends thousands at once does not keep the others waiting."""
    flood, other = loop.connect(path), loop.connect(path)
    loop.run_ready(lines)
    flood.sendall(b"a\n" * 5000)
    other.sendall(b"b\n")
    for _ in range(2):
        for key, _ in loop.selector.select(0):
            key.data(loop.now)
    assert lines.handled.count(b"b") == 1
    assert lines.handled.count(b"a") <= 2
    found = b""
    while len(found) < len(b"A\n" * 5000):
        loop.run_ready(lines)
        found += flood.recv(65_536)
    assert lines.handled.count(b"a") == 5000


def test_the_requests_of_a_client_that_does_not_read_wait(loop, lines, path):
    """Its answers do not pile up: the next request is handled when the last answer has been read."""
    peer = loop.connect(path)
    peer.sendall(b"big\nbig\nend\n")
    loop.run_ready(lines)
    assert lines.handled == [b"big"]
    found = b""
    while not found.endswith(b"END\n"):
        found += peer.recv(65_536)
        loop.run_ready(lines)
    assert len(found) == 2 * BIG + 4


def test_each_request_renews_the_timeout(loop, lines, path):
    """A client that goes on asking stays; then its time is over."""
    peer = loop.connect(path)
    for _ in range(3):
        peer.sendall(b"hello\n")
        loop.run_ready(lines)
        loop.now += TIMEOUT - 1
        lines.tick(loop.now)
    assert open_connections(lines) == 1
    loop.now += 1
    lines.tick(loop.now)
    assert received(peer) == b"HELLO\n" * 3


def test_a_client_that_is_held_may_be_silent(loop, lines, path):
    """No timeout, and no client replaces it; when it is released, its time begins again."""
    held = loop.connect(path)
    held.sendall(b"hold\n")
    loop.run_ready(lines)
    loop.now += 1000
    lines.tick(loop.now)
    assert lines.deadline == float("inf")
    for _ in range(MAX_CLIENTS + 5):
        loop.connect(path)
    loop.run_ready(lines)
    lines.held[0].send(b"event\n")
    assert held.recv(100) == b"held\nevent\n"
    lines.held[0].release()
    assert lines._connections[min(lines._connections)].deadline <= loop.now + TIMEOUT
    loop.now += TIMEOUT
    lines.tick(loop.now)
    assert held.recv(100) == b""


@pytest.mark.parametrize("hours", [0, 1])
def test_the_time_of_a_client_begins_when_it_is_answered(loop, lines, path, hours):
    """Also if the loop has not called this service for a long time, since only an event of another one came."""
    held, slow = loop.connect(path), loop.connect(path)
    held.sendall(b"hold\n")
    slow.sendall(b"hold\n")
    loop.run_ready(lines)
    loop.now += hours * 3600
    lines.held[0].release()
    lines.held[0].send(b"answer\n")
    lines.held[1].send(b"x" * BIG)
    assert lines.deadline == loop.now + TIMEOUT
    loop.now += TIMEOUT - 1
    lines.tick(loop.now)
    held.sendall(b"again\n")
    loop.run_ready(lines)
    assert held.recv(100) == b"held\nanswer\nAGAIN\n"
    assert lines.held[1].is_open


class Awake(Service):
    """A service that is always due, so that no turn of the loop waits."""

    deadline = 0.0


def test_a_slow_turn_does_not_close_a_client_whose_request_is_there(listener, path):
    """Another service takes longer than the timeout. The client gets its answer, and silent ones are closed."""
    now = [100.0]

    class Slow(Service):
        deadline = 104.0

        def tick(self, _now):
            sender.sendall(b"quick\n")
            now[0], self.deadline = 110.0, float("inf")

    with (
        socket.socket(socket.AF_UNIX) as sender,
        socket.socket(socket.AF_UNIX) as silent,
        Loop(lambda: now[0]) as loop,
    ):
        loop.open("awake", lambda _: Awake())
        loop.open("slow", lambda _: Slow())
        loop.open("requests", lambda s: RequestServer(listener, s, respond, MAX_BYTES, TIMEOUT, lambda: now[0]))
        for peer in (sender, silent):
            peer.connect(str(path))
            peer.settimeout(5)
            loop.run_once()
        now[0] = 104.0
        loop.run_once()
        assert now[0] == 110.0
        loop.run_once()
        assert received(sender) == b"QUICK"
        assert received(silent) == b""


def test_a_slow_callback_does_not_close_a_client_whose_request_is_there(listener, path):
    """As above, if a descriptor of another service is readable."""
    now, (read, write) = [100.0], os.pipe()

    class Slow(Service):
        def __init__(self, selector):
            selector.register(read, selectors.EVENT_READ, self.on_readable)

        def on_readable(self, _now):
            os.read(read, 1)
            sender.sendall(b"quick\n")
            now[0] = 110.0

    with socket.socket(socket.AF_UNIX) as sender, Loop(lambda: now[0]) as loop:
        loop.open("awake", lambda _: Awake())
        loop.open("slow", Slow)
        loop.open("requests", lambda s: RequestServer(listener, s, respond, MAX_BYTES, TIMEOUT, lambda: now[0]))
        sender.connect(str(path))
        sender.settimeout(5)
        loop.run_once()
        now[0] = 104.0
        os.write(write, b"x")
        loop.run_once()
        loop.run_once()
        assert received(sender) == b"QUICK"
    os.close(read)
    os.close(write)


def test_a_held_client_that_does_not_read_is_closed(loop, lines, path):
    """Its time begins when something is sent that it does not take."""
    held = loop.connect(path)
    held.sendall(b"hold\n")
    loop.run_ready(lines)
    loop.now += 1000
    lines.tick(loop.now)
    lines.held[0].send(b"x" * BIG)
    assert lines.deadline == loop.now + TIMEOUT
    loop.now += TIMEOUT
    lines.tick(loop.now)
    assert not lines.held[0].is_open
    lines.held[0].send(b"too late")
    assert len(received(held)) < BIG


def test_the_number_of_held_clients_is_bounded(loop, lines, path):
    """So there is always one that can be replaced."""
    peers = [loop.connect(path) for _ in range(MAX_HELD + 1)]
    for peer in peers:
        peer.sendall(b"hold\n")
        loop.run_ready(lines)
    assert [peer.recv(100) for peer in peers] == [b"held\n"] * MAX_HELD + [b"full\n"]
    peers[0].close()
    loop.run_ready(lines)
    peers[-1].sendall(b"hold\n")
    loop.run_ready(lines)
    assert peers[-1].recv(100) == b"held\n"


def test_a_connection_can_be_closed_at_once(loop, lines, path):
    """Unread bytes are lost."""
    held = loop.connect(path)
    held.sendall(b"hold\n")
    loop.run_ready(lines)
    lines.held[0].send(b"x" * BIG)
    assert lines.held[0].unsent > 0
    lines.held[0].abort()
    assert len(received(held)) < BIG
    assert open_connections(lines) == 0


def test_connections_outlive_the_listener(loop, lines, path):
    """`stop_listening` twice is `stop_listening` once."""
    held = loop.connect(path)
    held.sendall(b"hold\n")
    loop.run_ready(lines)
    lines.stop_listening()
    lines.stop_listening()
    with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
        late.connect(str(path))
    lines.held[0].send(b"last\n")
    assert held.recv(100) == b"held\nlast\n"


# descriptors


@pytest.mark.parametrize("count", [1, 253, 254, 600])
def test_descriptors_go_with_an_answer(loop, lines, path, count):
    """As many as there are, in groups where the kernel passes no more at a time."""
    peer = loop.connect(path)
    peer.sendall(b"%d\n" % count)
    loop.run_ready(lines)
    text, found = b"", []
    while not text.endswith(b"\n"):
        piece, descriptors, _, _ = socket.recv_fds(peer, 100, 253)
        found += descriptors
        text += piece
    for fd in found:
        os.close(fd)
    assert (text, len(found)) == (b"here\n", count)


@pytest.mark.parametrize("reads", [True, False])
def test_descriptors_that_were_opened_for_an_answer_are_closed(loop, lines, path, descriptors, reads):
    """When they have been sent, or the connection is closed before."""
    peer = loop.connect(path)
    loop.run_ready(lines)
    before = descriptors()
    if not reads:
        peer.sendall(b"hold\n")
        loop.run_ready(lines)
        lines.held[0].send(b"x" * BIG)
        owned = (os.dup(0),)
        lines.held[0].send(b"after\n", owned, owned)
        assert descriptors() == before + 1
        lines.held[0].abort()
        assert descriptors() == before - 1
        return
    peer.sendall(b"own\n")
    loop.run_ready(lines)
    assert descriptors() == before
    _, found, _, _ = socket.recv_fds(peer, 100, 253)
    assert len(found) == 3
    for fd in found:
        os.close(fd)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_lack_of_descriptors_is_logged_once_a_minute(loop, path, caplog, number):
    """Clients wait until their timeout otherwise, and nobody knows why. Without clients there is none to close."""
    lacking = True

    class Listener(socket.socket):
        def accept(self):
            if lacking:
                raise OSError(number, os.strerror(number))
            return super().accept()

    listener = Listener(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    server = RequestServer(listener, loop.selector, respond, MAX_BYTES, TIMEOUT, loop.clock)
    loop.listeners.append(server)
    peer = loop.connect(path)
    peer.sendall(b"hello\n")
    for seconds, lines in ((0, 1), (1, 1), (58, 1), (1, 2), (59, 2), (1, 3)):
        loop.now += seconds
        for key, _ in loop.selector.select(0):
            key.data(loop.now)
        assert len(caplog.messages) == lines
    text = f"Cannot accept connections at {path}: {os.strerror(number)}. Raise the limit of open files (ulimit -n)"
    assert set(caplog.messages) == {text}
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    lacking = False
    loop.run_ready(server)
    assert received(peer) == b"HELLO"
