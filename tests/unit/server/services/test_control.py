"""The control socket: whatever is sent, there is an answer or the end of the connection, and the master goes on."""

import errno
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
from heliograph.ipc.control import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Request, encode_request, take_frame
from heliograph.ipc.control_client import ControlClient, RequestFailed, ServerNotRunning, request, request_with_fds
from heliograph.ipc.request_server import MAX_CLIENTS, MAX_HELD
from heliograph.server.services import control
from heliograph.server.services.control import MAX_UNREAD_BYTES, Answer, ControlServer, Refused, Verb, rights_of


@pytest.fixture
def path(directory):
    return directory / "control.sock"


@pytest.fixture
def calls():
    """The calls that verbs were made with."""
    return []


@pytest.fixture
def server(loop, path, calls):
    def state(call):
        assert call.pid == os.getpid()
        calls.append(call)
        return Answer({"pid": 4711, **call.arguments})

    def refuse(call):
        calls.append(call)
        raise Refused("failed", "not today")

    def no_descriptors(_call):
        raise OSError(errno.EMFILE, "Too many open files")

    def wait(call):
        call.hold()
        calls.append(call)

    def descriptors(_call):
        owned = (os.dup(0),)
        return Answer({}, (0, 1, *owned), owned)

    verbs = {
        "state": Verb(state, "read", {"count": int, "wait": bool, "name": str}),
        "refuse": Verb(refuse, "control"),
        "no_descriptors": Verb(no_descriptors, "read"),
        "wait": Verb(wait, "read"),
        "descriptors": Verb(descriptors, "read"),
    }
    server = ControlServer(path, loop.selector, verbs, loop.clock)
    loop.listeners.append(server)
    return server


def frame(message) -> bytes:
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    return len(text).to_bytes(4, "big") + text


def ask(verb, request_id=1, **arguments) -> bytes:
    return encode_request(Request(request_id, verb, arguments))


def answers(peer) -> list[dict]:
    """The messages that have come."""
    buffer, found = bytearray(), []
    peer.setblocking(False)
    try:
        while chunk := peer.recv(1 << 20):
            buffer += chunk
    except BlockingIOError:
        pass
    while (text := take_frame(buffer, MAX_ANSWER_BYTES)) is not None:
        found.append(json.loads(text))
    assert buffer == b""
    return found


def exchanged(loop, server, path, data: bytes) -> list[dict]:
    """The messages that answer these bytes."""
    peer = loop.connect(path)
    peer.sendall(data)
    loop.run_ready(server)
    found = answers(peer)
    peer.close()
    loop.run_ready(server)
    return found


def errors(found) -> list[tuple]:
    return [(message["id"], message["error"]["code"], message["error"]["message"]) for message in found]


def test_a_verb_answers(loop, server, path, calls):
    """With the id of the request; it gets the arguments."""
    found = exchanged(loop, server, path, ask("state", 7, count=5, name="x", wait=True))
    assert found == [{"version": 1, "id": 7, "result": {"pid": 4711, "count": 5, "name": "x", "wait": True}}]
    assert [call.arguments for call in calls] == [{"count": 5, "name": "x", "wait": True}]


def test_a_connection_carries_many_requests(loop, server, path, calls):
    """Each has its answer, in order, and an error does not end the connection."""
    data = ask("state", 1) + ask("nothing", 2) + ask("refuse", 3) + frame(b"[]") + ask("state", 4)
    found = exchanged(loop, server, path, data)
    assert [message["id"] for message in found] == [1, 2, 3, None, 4]
    assert ["result" in message for message in found] == [True, False, False, False, True]
    assert len(calls) == 3


def test_the_answer_to_an_unknown_verb_lists_the_verbs(loop, server, path, calls):
    found = exchanged(loop, server, path, ask("dance"))
    text = "unknown verb: 'dance'. Verbs: descriptors, no_descriptors, refuse, state, wait."
    assert errors(found) == [(1, "unknown_verb", text)]
    assert calls == []


def test_a_verb_refuses(loop, server, path):
    assert errors(exchanged(loop, server, path, ask("refuse"))) == [(1, "failed", "not today")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"many": 1}, "unknown argument of state: 'many'. Arguments: count, name, wait."),
        ({"count": "5"}, "bad count for state: '5'. Send int."),
        ({"count": True}, "bad count for state: True. Send int."),
        ({"count": None}, "bad count for state: None. Send int."),
        ({"count": 1.5}, "bad count for state: 1.5. Send int."),
        ({"wait": 0}, "bad wait for state: 0. Send bool."),
        ({"x" * 9999: 1}, None),
    ],
)
def test_a_bad_argument_is_named(loop, server, path, calls, arguments, message):
    """The verb is not called, and the error does not repeat long values."""
    ((_, code, text),) = errors(exchanged(loop, server, path, ask("state", **arguments)))
    assert code == "bad_argument"
    assert len(text) < 200
    assert text == message or message is None
    assert calls == []


def test_a_verb_without_arguments_says_so(loop, server, path):
    ((_, _, text),) = errors(exchanged(loop, server, path, ask("refuse", count=1)))
    assert text == "unknown argument of refuse: 'count'. Arguments: none."


@pytest.mark.parametrize(("right", "allowed"), [("read", 1), ("control", 1), ("another", 0)])
def test_a_verb_needs_its_right(loop, server, path, calls, monkeypatch, right, allowed):  # noqa: PLR0917 - fixtures
    """The verb is not called without it."""
    monkeypatch.setattr(control, "rights_of", lambda _uid: frozenset({right}))
    found = exchanged(loop, server, path, ask("state") + ask("refuse", 2))
    refused = [text for _, code, text in errors([m for m in found if "error" in m]) if code == "forbidden"]
    assert len(refused) == 2 - allowed == 2 - len(calls)
    assert all(text.startswith("not permitted: ") for text in refused)


@pytest.mark.parametrize(
    "text",
    [
        *(b" ", b"hello", b"{", b'{"verb"', b"{'verb': 'state'}", b"\xff\xfe", b"\0", b"{}", b'{"do": "signals"}'),
        *(b"[]", b'["verb"]', b"5", b"null", b'"state"', b"NaN", b"[" * 4000, b'{"a":' * 700, b"1" * 5000),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_frame_that_is_no_request_is_answered_with_an_example(loop, server, path, calls, text):
    """Broken JSON, JSON that is no object, no request; the connection goes on."""
    found = exchanged(loop, server, path, frame(text) + ask("state", 2))
    ((request_id, code, message),) = errors(found[:1])
    assert (request_id, code) == (None, "malformed")
    assert '"verb": "state"' in message
    assert [message["id"] for message in found[1:]] == [2]
    assert len(calls) == 1


def test_another_version_is_refused(loop, server, path, calls):
    """With the id of the request, and what to do."""
    newer = {"version": 2, "id": 5, "verb": "state", "arguments": {}}
    ((request_id, code, message),) = errors(exchanged(loop, server, path, frame(newer)))
    assert (request_id, code) == (5, "version")
    assert message.endswith("Restart the server.")
    assert calls == []


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b'{"do": "signals"}\n', bytes(4), b"\xff" * 10_000])
def test_another_protocol_is_answered_and_closed(loop, server, path, calls, data):
    """Its first bytes are no length of a request."""
    peer = loop.connect(path)
    peer.sendall(data + ask("state"))
    loop.run_ready(server)
    ((request_id, code, message),) = errors(answers_until_closed(peer))
    assert (request_id, code) == (None, "malformed")
    assert message.startswith("bad frame length: ")
    assert calls == []
    assert server.deadline == float("inf")


def answers_until_closed(peer) -> list[dict]:
    data = b""
    try:
        while chunk := peer.recv(65_536):
            data += chunk
    except ConnectionResetError:  # more had been sent than was read
        pass
    buffer, found = bytearray(data), []
    while (text := take_frame(buffer, MAX_ANSWER_BYTES)) is not None:
        found.append(json.loads(text))
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), framed=st.booleans())
def test_any_bytes_are_answered_or_waited_for(loop, server, path, data, framed):
    """Nothing that is sent is raised in the master."""
    found = exchanged(loop, server, path, frame(data) if framed else data)
    assert all("error" in message for message in found)
    assert len(found) >= int(framed)


def test_the_largest_request(loop, server, path, calls):
    """64 KiB are answered; one byte more is refused before it has come."""
    request = {"version": 1, "id": 1, "verb": "state", "arguments": {"name": ""}}
    request["arguments"]["name"] = "x" * (MAX_REQUEST_BYTES - len(json.dumps(request)))
    peer = loop.connect(path)
    data = frame(request)
    assert len(data) == MAX_REQUEST_BYTES + 4
    peer.sendall(data[:40_000])
    loop.run_ready(server)
    peer.sendall(data[40_000:])
    loop.run_ready(server)
    assert [message["id"] for message in answers(peer)] == [1]
    assert len(calls) == 1
    late = loop.connect(path)
    late.sendall((MAX_REQUEST_BYTES + 1).to_bytes(4, "big"))
    loop.run_ready(server)
    assert [code for _, code, _ in errors(answers_until_closed(late))] == ["malformed"]


def test_a_verb_that_fails(loop, server, path, caplog):
    """The client gets an answer, and so do the others."""
    first, second = loop.connect(path), loop.connect(path)
    first.sendall(ask("no_descriptors"))
    second.sendall(ask("state"))
    loop.run_ready(server)
    assert errors(answers(first)) == [(1, "failed", "the server cannot do that now: Too many open files.")]
    assert [message["result"] for message in answers(second)] == [{"pid": 4711}]
    assert caplog.messages == ["Cannot carry out request 'no_descriptors': [Errno 24] Too many open files"]


# calls that take time


def test_a_verb_may_answer_later(loop, server, path, calls):
    """The client is held meanwhile, may ask other things, and has no timeout."""
    peer = loop.connect(path)
    peer.sendall(ask("wait", 1) + ask("state", 2))
    loop.run_ready(server)
    assert [message["id"] for message in answers(peer)] == [2]
    loop.now += 1000
    server.tick(loop.now)
    call = calls[0]
    assert call.is_open
    call.push({"type": "x"})
    call.finish({"done": True})
    assert answers(peer) == [
        {"version": 1, "id": 1, "event": {"type": "x"}},
        {"version": 1, "id": 1, "result": {"done": True}},
    ]
    loop.now += control.CLIENT_TIMEOUT
    server.tick(loop.now)
    assert peer.recv(10) == b""


def test_a_call_may_fail_later(loop, server, path, calls):
    peer = loop.connect(path)
    peer.sendall(ask("wait"))
    loop.run_ready(server)
    calls[0].fail("load_failed", "SyntaxError")
    assert errors(answers(peer)) == [(1, "load_failed", "SyntaxError")]
    assert server.deadline == loop.now + control.CLIENT_TIMEOUT


def test_a_client_that_goes_ends_its_call(loop, server, path, calls):
    """Later events are dropped."""
    peer = loop.connect(path)
    peer.sendall(ask("wait"))
    loop.run_ready(server)
    peer.close()
    loop.run_ready(server)
    assert not calls[0].is_open
    calls[0].push({})
    calls[0].finish({})
    assert server.deadline == float("inf")


def test_too_many_calls_that_wait(loop, server, path, calls):
    """One more is refused; the others wait on."""
    peers = [loop.connect(path) for _ in range(MAX_HELD + 1)]
    for peer in peers:
        peer.sendall(ask("wait"))
        loop.run_ready(server)
    assert len(calls) == MAX_HELD
    ((_, code, message),) = errors(answers(peers[-1]))
    assert code == "busy"
    assert "Try again later" in message


def test_one_client_cannot_take_all_places(loop, server, path, calls):
    """Each of its calls counts."""
    peer = loop.connect(path)
    peer.sendall(b"".join(ask("wait", number) for number in range(MAX_HELD + 5)))
    loop.run_ready(server)
    assert (len(calls), len(answers(peer))) == (MAX_HELD, 5)


def test_a_subscriber_that_does_not_read_is_closed(loop, server, path, calls):
    """When too many events wait for it, whatever its timeout."""
    peer = loop.connect(path)
    peer.sendall(ask("wait"))
    loop.run_ready(server)
    pushed = 0
    while calls[0].is_open:
        calls[0].push({"text": "x" * 10_000})
        pushed += 10_000
        assert pushed < 3 * MAX_UNREAD_BYTES
    assert pushed > MAX_UNREAD_BYTES


# the socket


def test_the_socket_is_its_owners(loop, server, path):
    """Mode 0600, whatever the umask; and the umask is as it was."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = os.umask(0o022)
    os.umask(before)
    server.close()
    loop.listeners.clear()
    os.umask(0)
    try:
        loop.listeners.append(ControlServer(path, loop.selector, {}))
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("uid", [1, 0xFFFF_FFFE])
def test_another_user_is_not_answered(loop, server, path, calls, monkeypatch, uid):
    """The kernel says who connects; the connection is closed before a byte is read. A user id is unsigned."""

    class Foreign(socket.socket):
        def getsockopt(self, level, option, size=0):
            assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return struct.pack("iII", 1, uid, 0)

    peer = loop.connect(path)
    with Foreign(socket.AF_UNIX) as sock:
        assert not server.accepts_peer(sock)
        monkeypatch.setattr(control.os, "getuid", lambda: uid)
        assert server.accepts_peer(sock)
    monkeypatch.setattr(control, "_peer", lambda _sock: (1, uid - 1 or 5))
    loop.run_ready(server)
    assert peer.recv(10) == b""
    assert calls == []


def test_root_may_do_what_the_owner_may(monkeypatch):
    """Root can stop the server of each user."""
    monkeypatch.setattr(control.os, "getuid", lambda: 1000)
    assert rights_of(0) == rights_of(1000) == {"read", "control"}
    assert rights_of(1001) == frozenset()


def test_a_file_of_a_dead_master_is_replaced(loop, path):
    """And gone when this one ends."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ControlServer(path, loop.selector, {})
    server.close()
    assert not path.exists()


def test_the_socket_of_a_successor_is_left_alone(loop, server, path, calls):
    """A server that has stopped to listen answers who waits, and removes nothing."""
    peer = loop.connect(path)
    peer.sendall(ask("wait"))
    loop.run_ready(server)
    server.stop_listening()
    assert not path.exists()
    path.touch()
    calls[0].finish({})
    server.close()
    loop.listeners.clear()
    assert path.exists()
    assert len(answers_until_closed(peer)) == 1


@pytest.mark.parametrize("kind", ["socket", "directory", "link", "nothing"])
def test_what_has_replaced_the_socket_is_left_alone(loop, server, path, kind):
    """A program that cleans up /tmp removed the socket, and another server made its own, for example."""
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "socket":
            other.bind(str(path))
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(path.parent)
        server.stop_listening()
    assert (path.is_symlink() or path.exists()) == (kind != "nothing")


def test_a_directory_in_the_place_of_the_socket_is_named(loop, path):
    """It is kept."""
    path.mkdir()
    with pytest.raises(ConfigError, match=rf"cannot listen at {path} \(Is a directory\)\. Use --control"):
        ControlServer(path, loop.selector, {})
    assert path.is_dir()


def test_a_path_that_cannot_be_bound(loop, directory):
    with pytest.raises(ConfigError, match=r"cannot listen at .* \(No such file or directory\)\. Use --control"):
        ControlServer(directory / "nowhere" / "sock", loop.selector, {})


# the other side


def served_by(server, loop, asking):
    """Return what `asking()` returns or raises in a thread, while the loop serves."""
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
    """The result as it is; an error is a `ConfigError` with its code."""
    assert served_by(server, loop, lambda: request(path, "state", count=1)) == {"pid": 4711, "count": 1}
    failure = served_by(server, loop, lambda: request(path, "refuse"))
    assert isinstance(failure, RequestFailed)
    assert (failure.code, str(failure)) == ("failed", "not today")


def test_asking_for_descriptors(loop, server, path, descriptors):
    """They arrive, and the server closes those that it opened for the client."""

    def asking():
        _, found = request_with_fds(path, "descriptors")
        for fd in found:
            os.close(fd)
        return len(found)

    before = descriptors()
    assert served_by(server, loop, asking) == 3
    for key, _ in loop.selector.select(0):
        key.data(loop.now)
    assert descriptors() == before


def test_asking_a_server_of_another_user(loop, server, path, monkeypatch):
    """It closes the connection."""
    monkeypatch.setattr(ControlServer, "accepts_peer", lambda _self, _sock: False)
    failure = served_by(server, loop, lambda: request(path, "state"))
    assert isinstance(failure, ServerNotRunning)
    assert "closed the connection" in str(failure)


def test_a_server_that_stops_to_serve(loop, server, path, calls):
    """A client that was pushed out by others gets an error, and can connect again."""
    with ControlClient(path) as client:
        loop.run_ready(server)
        for _ in range(MAX_CLIENTS):
            loop.connect(path)
        loop.run_ready(server)
        failure = served_by(server, loop, lambda: client.request("state"))
        assert isinstance(failure, ServerNotRunning)
    assert served_by(server, loop, lambda: request(path, "state")) == {"pid": 4711}
