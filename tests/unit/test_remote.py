"""Sending a signal to another server, over real sockets that small threads serve."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress

import pytest

from heliograph import Signal
from heliograph import remote as remote_module
from heliograph.exceptions import ConfigError, RemoteRejected, RemoteUnreachable, SignalNumberError, SignalTypeError
from heliograph.ipc.control_client import RequestFailed
from heliograph.remote import send_signal, send_to

TAKEN = b"\xff\x00\x00\x01"
REFUSED = b"\xff\x00\x00\x00"
DEADLINE = 10.0


@contextmanager
def serving(conversation: Callable[[socket.socket], object], listener: socket.socket) -> Generator[str]:
    """Hold one conversation with the first client. Yields the address."""
    failures: list[Exception] = []

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            connection.settimeout(DEADLINE)
            with connection:
                conversation(connection)
        except Exception as failure:
            failures.append(failure)

    listener.settimeout(DEADLINE)
    thread = threading.Thread(target=serve)
    thread.start()
    name = listener.getsockname()
    try:
        yield name if isinstance(name, str) else f"{name[0]}:{name[1]}"
    finally:
        thread.join(DEADLINE)
        listener.close()
    assert not thread.is_alive()
    assert not failures


@pytest.fixture(params=["tcp", "unix"])
def listener(request, tmp_path):
    if request.param == "tcp":
        sock = socket.create_server(("127.0.0.1", 0))
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(tmp_path / "uwsgi.sock"))
        sock.listen()
    with closing(sock):
        yield sock


def answering(*chunks: bytes, heard: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    """Read the request, then send the chunks one by one."""

    def converse(connection: socket.socket) -> None:
        request = connection.recv(4, socket.MSG_WAITALL)
        if heard is not None:
            heard.append(request)
        for chunk in chunks:
            connection.sendall(chunk)

    return converse


def test_a_signal_is_four_bytes_and_the_answer_01_is_success(listener):
    """D8: the packet is `6e 00 00 NN`. `send_signal` returns None after the answer `ff 00 00 01`."""
    heard: list[bytes] = []
    with serving(answering(TAKEN, heard=heard), listener) as address:
        assert send_signal(200, address) is None
    assert heard == [b"\x6e\x00\x00\xc8"]


def test_signal_send_with_remote_needs_no_engine(listener):
    """D8: `Signal(n).send(remote=...)` works in a process without a server."""
    heard: list[bytes] = []
    with serving(answering(TAKEN, heard=heard), listener) as address:
        Signal(7).send(remote=address)
    assert heard == [b"\x6e\x00\x00\x07"]


def test_a_rejection_is_a_value_error(listener):
    """D8: the answer `ff 00 00 00` raises RemoteRejected, a ValueError with number and address."""
    with serving(answering(REFUSED), listener) as address, pytest.raises(ValueError, match="rejected") as caught:
        send_signal(7, address)
    assert isinstance(caught.value, RemoteRejected)
    assert (caught.value.num, caught.value.remote) == (7, address)


@pytest.mark.parametrize(("answer", "accepted"), [(TAKEN, True), (REFUSED, False)])
def test_an_answer_can_come_byte_by_byte(listener, answer, accepted):
    """An answer in four segments is one answer."""
    listener_is_tcp = listener.family == socket.AF_INET

    def converse(connection: socket.socket) -> None:
        if listener_is_tcp:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(4, socket.MSG_WAITALL)
        for byte in answer:
            connection.sendall(bytes((byte,)))

    with serving(converse, listener) as address:
        if accepted:
            send_signal(7, address)
        else:
            with pytest.raises(RemoteRejected):
                send_signal(7, address)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\x00\x00\x02", b"\xff\x01\x00\x01", b"\x00\x00\x00\x01"],
    ids=["http", "two", "size", "modifier"],
)
def test_the_answer_of_another_protocol_is_an_os_error(listener, answer):
    """D8: it raises RemoteUnreachable, and the message names the server's --socket."""
    with serving(answering(answer), listener) as address, pytest.raises(RemoteUnreachable, match="uwsgi protocol"):
        send_signal(7, address)


def test_a_server_that_closes_without_an_answer_is_an_os_error(listener):
    """It raises RemoteUnreachable."""
    with serving(answering(), listener) as address, pytest.raises(RemoteUnreachable, match="without an answer"):
        send_signal(7, address)


def test_a_server_that_closes_within_the_answer_is_an_os_error(listener):
    """It raises RemoteUnreachable after three of four bytes."""
    with serving(answering(TAKEN[:3]), listener) as address, pytest.raises(OSError, match="without an answer"):
        send_signal(7, address)


def test_a_silent_server_takes_the_timeout_and_no_longer(listener):
    """D8: no answer within `timeout` raises RemoteUnreachable, after that time and not much later."""
    done = threading.Event()

    def converse(_connection: socket.socket) -> None:
        assert done.wait(DEADLINE)

    with serving(converse, listener) as address:
        before = time.monotonic()
        with pytest.raises(RemoteUnreachable, match=r"no answer within 0\.2 s"):
            send_signal(7, address, timeout=0.2)
        took = time.monotonic() - before
        done.set()
    assert 0.2 <= took < 5.0


def test_a_slow_server_does_not_extend_the_timeout(listener):
    """The timeout is for the whole exchange. A byte does not restart it."""
    done = threading.Event()

    def converse(connection: socket.socket) -> None:
        with suppress(BrokenPipeError):  # the last byte can come after the timeout
            for byte in TAKEN[:3]:
                connection.sendall(bytes((byte,)))
                if done.wait(0.15):
                    return
        assert done.wait(DEADLINE)

    with serving(converse, listener) as address:
        before = time.monotonic()
        with pytest.raises(RemoteUnreachable, match="no answer"):
            send_signal(7, address, timeout=0.3)
        took = time.monotonic() - before
        done.set()
    assert 0.3 <= took < 5.0


def test_a_refused_connection_is_an_os_error():
    """D8: it raises RemoteUnreachable with the reason of the system."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(RemoteUnreachable, match="refused") as caught:
        send_signal(7, f"127.0.0.1:{port}")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_missing_unix_socket_is_an_os_error(tmp_path):
    """A path without a socket raises RemoteUnreachable with the path."""
    path = str(tmp_path / "nobody.sock")
    with pytest.raises(RemoteUnreachable, match=f"No such file.*that the server runs with --socket {path}") as caught:
        send_signal(7, path)
    assert caught.value.remote == path


def test_a_name_without_colon_is_a_path(tmp_path, monkeypatch):
    """A relative path of a Unix socket needs no slash."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RemoteUnreachable, match="No such file"):
        send_signal(7, "uwsgi.sock")


def test_a_path_that_is_too_long_for_the_kernel_is_an_os_error():
    """A path of more than 107 bytes raises RemoteUnreachable too."""
    with pytest.raises(RemoteUnreachable, match="too long"):
        send_signal(7, "/tmp/" + "x" * 120)


@pytest.mark.parametrize("address", ["127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:65536", ":-1", "a:b:c"])
def test_a_bad_port_is_an_os_error_that_says_what_an_address_is(address):
    """A text that is neither HOST:PORT nor a path raises RemoteUnreachable."""
    with pytest.raises(RemoteUnreachable, match="HOST:PORT"):
        send_signal(7, address)


def test_a_port_alone_means_this_machine():
    """`:3031` is 127.0.0.1:3031."""
    listener = socket.create_server(("127.0.0.1", 0))
    with serving(answering(TAKEN), listener) as address:
        send_signal(7, f":{address.rpartition(':')[2]}")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_an_ipv6_address_is_in_brackets():
    """`[::1]:PORT` reaches an IPv6 listener."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no ::1")
    port = listener.getsockname()[1]
    with serving(answering(TAKEN), listener):
        send_signal(7, f"[::1]:{port}")


@pytest.mark.parametrize(("num", "error"), [(256, SignalNumberError), (-1, SignalNumberError), (True, SignalTypeError)])
def test_a_bad_number_is_not_sent(num, error):
    """S1: the number is checked before the connection."""
    with pytest.raises(error):
        send_signal(num, "127.0.0.1:1")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_positive_and_finite(timeout):
    """Other values raise a ValueError with the value."""
    with pytest.raises(ValueError, match="timeout"):
        send_signal(7, "127.0.0.1:1", timeout)


@pytest.fixture
def asked(monkeypatch):
    """Requests to a server, in place of its control socket. `answers` are returned or raised in turn."""
    found = {"requests": [], "answers": []}

    def request(path, verb, **arguments):
        found["requests"].append((path.stem, verb, arguments["signal"]))
        answer = found["answers"].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(remote_module, "request", request)
    return found


@pytest.mark.parametrize(("signal", "text"), [("refresh", "refresh"), (7, "7"), ("shop:refresh", "shop:refresh")])
def test_send_to_a_server_by_name(asked, signal, text):
    """It asks the server, again while the queue is full, and returns the number."""
    asked["answers"] = [RequestFailed("busy", "full"), {"signal": 7}]
    assert send_to(signal, "shop") == 7
    assert asked["requests"] == [("shop", "send", text)] * 2


def test_send_to_a_server_fails(asked):
    """A queue that stays full and an unknown signal are errors."""
    asked["answers"] = [RequestFailed("busy", "full")]
    with pytest.raises(ConfigError, match="full"):
        send_to("refresh", "shop", timeout=0.0)
    asked["answers"] = [RequestFailed("failed", "no handler")]
    with pytest.raises(ConfigError, match="no handler"):
        send_to("refresh", "shop")
    with pytest.raises(SignalNumberError):
        send_to(256, "shop")
