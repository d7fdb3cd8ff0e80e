"""Signals from outside (D8): only the packet is taken, whatever else comes in whatever pieces."""

import itertools
import logging
import socket
import stat
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph._core.signals.packet import PACKET_SIZE, encode_answer, encode_signal
from heliograph.exceptions import ConfigError, RemoteRejected
from heliograph.ipc.request_server import MAX_CLIENTS
from heliograph.loop import NEVER
from heliograph.remote import send_signal
from heliograph.server.services import uwsgi_listener
from heliograph.server.services.socket_watch import (
    INITIAL_DELAY,
    LOGGED_FAILURE,
    MAX_DELAY,
    SocketWatch,
    Texts,
    WatchedFile,
)
from heliograph.server.services.uwsgi_listener import CLIENT_TIMEOUT, UwsgiListener
from heliograph.settings.addresses import Address

ALLOWED = 17
TAKEN, REFUSED = encode_answer(taken=True), encode_answer(taken=False)


@pytest.fixture
def path(directory):
    return directory / "uwsgi.sock"


@pytest.fixture
def taken():
    """The numbers that the master took."""
    return []


@pytest.fixture
def server(loop, path, taken):
    def take(num):
        if num != ALLOWED:
            return "not allowed"
        taken.append(num)
        return None

    server = UwsgiListener(Address.parse(str(path)), loop.selector, take, loop.clock)
    loop.listeners.append(server)
    return server


def answer(loop, server, path, *pieces: bytes, half: bool = True) -> bytes:
    """Send these bytes piece by piece, and return the answer."""
    peer = loop.connect(path)
    found = b""
    try:
        for piece in pieces:
            peer.sendall(piece)
            loop.run_ready(server)
        if half:
            peer.shutdown(socket.SHUT_WR)
            loop.run_ready(server)
        while chunk := peer.recv(64):
            found += chunk
    except OSError:  # it was closed before all was sent or read
        pass
    peer.close()
    return found


def test_the_packet_is_answered(loop, server, path, taken):
    """01 when it was taken, 00 when not."""
    assert answer(loop, server, path, encode_signal(ALLOWED), half=False) == TAKEN
    assert answer(loop, server, path, encode_signal(18), half=False) == REFUSED
    assert taken == [ALLOWED]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_the_packet_may_come_in_pieces(loop, server, path, taken, cut):
    """Each in its own time."""
    packet = encode_signal(ALLOWED)
    assert answer(loop, server, path, packet[:cut], packet[cut:], half=False) == TAKEN
    assert answer(loop, server, path, *(bytes((byte,)) for byte in packet), half=False) == TAKEN
    assert taken == [ALLOWED] * 2


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=12),
        st.tuples(st.sampled_from([110, 109, 0, 255]), st.integers(0, 1), st.integers(0, 1), st.integers(0, 255)).map(
            bytes
        ),
        st.sampled_from(
            [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0\x05\0\0\x01\0a\0\0", b"SSH-2.0-x\r\n"]
        ),
    ),
    cuts=st.sets(st.integers(1, 11), max_size=4),
)
def test_only_the_packet_is_taken(loop, server, path, taken, data, cuts):
    """Any bytes in any pieces: an answer only to what begins with a signal packet, and never an error."""
    taken.clear()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(bounds)]
    found = answer(loop, server, path, *pieces)
    packet = data[:PACKET_SIZE]
    is_signal = len(packet) == PACKET_SIZE and packet[:3] == b"\x6e\0\0"
    wanted = TAKEN if is_signal and packet[3] == ALLOWED else REFUSED if is_signal else b""
    # Bytes after the packet may cost the sender its answer, since the kernel then resets the connection.
    assert found in ({wanted} if len(data) <= PACKET_SIZE else {wanted, b""})
    assert taken == ([ALLOWED] if wanted == TAKEN else [])
    assert server.deadline == float("inf")


def test_a_flood_is_logged_at_a_bounded_rate(loop, server, path, caplog, monkeypatch):
    """A line a second at most, which counts the others."""
    now = [1000.0]
    monkeypatch.setattr(uwsgi_listener.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for number in range(300):
            now[0] += 0.01
            answer(loop, server, path, encode_signal(99) if number % 2 else b"GET ", half=False)
    assert [message[:18] for message in caplog.messages] == ["Rejected external "] * 3
    assert "not a signal packet (1 since" in caplog.messages[0]
    told = sum(int(message.rpartition("(")[2].split()[0]) for message in caplog.messages)
    assert 200 < told <= 300


def test_half_packets_and_silence(loop, server, path, taken):
    """They go when their time is over, and do not lock others out."""
    for number in range(MAX_CLIENTS + 10):
        loop.connect(path).sendall(encode_signal(ALLOWED)[: number % 4])
        loop.run_ready(server)
    assert answer(loop, server, path, encode_signal(ALLOWED), half=False) == TAKEN
    loop.now += CLIENT_TIMEOUT
    server.tick(loop.now)
    assert server.deadline == float("inf")
    assert taken == [ALLOWED]


def test_a_sender_that_resets_the_connection(loop, taken):
    """Before or after its packet: no error, and the next is served."""

    def take(num):
        taken.append(num)

    server = UwsgiListener(Address.parse("127.0.0.1:0"), loop.selector, take, loop.clock)
    loop.listeners.append(server)
    address = server._listener.getsockname()
    for sent in (b"", b"\x6e\0", encode_signal(3)):
        with socket.create_connection(address, timeout=5) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sendall(sent)
        loop.run_ready(server)
    with socket.create_connection(address, timeout=5) as peer:
        peer.sendall(encode_signal(4))
        while not taken or taken[-1] != 4:
            loop.run_ready(server)
        assert peer.recv(8) == TAKEN
    assert server.deadline == float("inf")


def test_heliograph_sends_to_it(loop, server, path, taken):
    """The other side of the same protocol; a refusal is a `RemoteRejected`."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        for num, failure in ((ALLOWED, None), (18, RemoteRejected)):
            sending = pool.submit(send_signal, num, str(path), 5.0)
            while not sending.done():
                for key, _ in loop.selector.select(0.01):
                    key.data(loop.now)
            assert isinstance(sending.exception(), failure or type(None))
    assert taken == [ALLOWED]


# where it listens


def test_a_stale_socket_is_replaced_and_removed(loop, path):
    """When the server stops, the path is free."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = UwsgiListener(Address.parse(str(path)), loop.selector, lambda _num: None)
    server.close()
    assert not path.exists()


def test_the_socket_of_a_running_server_is_not_replaced(loop, path, server):
    """Also if a program calls `serve(listen=PATH)`. The first server still answers, and removes only its own file."""
    with pytest.raises(ConfigError, match="another server listens there"):
        UwsgiListener(Address.parse(str(path)), loop.selector, lambda _num: None)
    assert answer(loop, server, path, encode_signal(ALLOWED)) == TAKEN
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        loop.listeners.remove(server)
        server.close()
        assert path.is_socket()


def test_a_unix_socket_has_mode_0600(path, server):
    """Whatever the umask is (see the tests of addresses)."""
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_is_not_replaced(loop, path, descriptors):
    """It may belong to a user: the error names it, and the file stays as it was."""
    path.write_text("mine")
    before = descriptors()
    with pytest.raises(ConfigError, match=r"--socket .*uwsgi\.sock: there is a file that is not a socket"):
        UwsgiListener(Address.parse(str(path)), loop.selector, lambda _num: None)
    assert path.read_text() == "mine"
    assert (descriptors(), len(loop.selector.get_map())) == (before, 0)


def test_a_port_that_is_taken(loop, descriptors):
    """An error that says which."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        before = descriptors()
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=f"--socket 127.0.0.1:{port}: cannot listen there: Address already in use"
        ):
            UwsgiListener(Address.parse(f"127.0.0.1:{port}"), loop.selector, lambda _num: None)
        assert descriptors() == before


def test_a_path_too_long_for_a_socket(loop, directory):
    """Is an error of the settings."""
    with pytest.raises(ConfigError, match="the path of a Unix socket has at most 102 bytes"):
        UwsgiListener(Address.parse(str(directory / ("x" * 200))), loop.selector, lambda _num: None)


def test_the_end_leaves_nothing_open(loop, directory, descriptors):
    """Half a packet, an answer, the listener."""
    before = descriptors()
    server = UwsgiListener(Address.parse(str(directory / "w")), loop.selector, lambda _num: None)
    peers = [loop.connect(directory / "w") for _ in range(3)]
    peers[1].sendall(b"\x6e")
    peers[2].sendall(encode_signal(1))
    loop.run_ready(server)
    server.close()
    for peer in peers:
        peer.close()
    assert descriptors() == before
    assert len(loop.selector.get_map()) == 0


@pytest.fixture
def watch(loop, server, path):
    """The watch of the socket's file."""
    files = (WatchedFile(path, server.is_in_place, server.listen_again),)
    watch = SocketWatch(loop.selector, files, Texts("restored", "failed: %s"), loop.clock)
    loop.listeners.append(watch)
    pass_time(loop, watch, INITIAL_DELAY)
    assert watch.deadline == NEVER
    return watch


def pass_time(loop, watch, seconds):
    loop.run_ready(watch)
    loop.now += seconds
    loop.run_ready(watch)
    watch.tick(loop.now)


def test_a_removed_socket_is_restored(loop, server, path, taken, watch, descriptors, caplog):  # noqa: PLR0917 - fixtures
    """Programs reach the server again, only those of its user do, and its end removes the file."""
    before = descriptors()
    for count in range(1, 4):
        path.unlink()
        pass_time(loop, watch, MAX_DELAY)
        assert caplog.messages == ["restored"] * count
        assert answer(loop, server, path, encode_signal(ALLOWED)) == TAKEN
        assert taken == [ALLOWED] * count
        pass_time(loop, watch, MAX_DELAY)
    assert descriptors() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.stop_listening()
    assert not path.exists()


def test_another_server_keeps_the_path(loop, path, watch, caplog):
    """One that listens there before the socket was restored. This one tries again, and says so."""
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        for _ in range(LOGGED_FAILURE + 2):
            pass_time(loop, watch, MAX_DELAY)
        assert caplog.messages == [
            f"failed: --socket {path}: another server listens there. Stop it, or use another path"
        ]
    pass_time(loop, watch, MAX_DELAY)
    assert caplog.messages[1:] == ["restored"]


def test_the_directory_comes_back_later(loop, server, path, taken, watch):
    """Some program removes it, and makes it anew."""
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    pass_time(loop, watch, MAX_DELAY)
    assert not server.is_in_place()
    path.parent.mkdir()
    pass_time(loop, watch, MAX_DELAY)
    assert answer(loop, server, path, encode_signal(ALLOWED)) == TAKEN
    path.unlink()
    path.parent.rmdir()
    moved.rename(path.parent)
