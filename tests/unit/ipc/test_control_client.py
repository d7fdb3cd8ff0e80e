"""The client of the control protocol, against scripted servers."""

import contextlib
import json
import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from heliograph.exceptions import ConfigError
from heliograph.ipc import control_client
from heliograph.ipc.control import MAX_ANSWER_BYTES, encode_error, encode_event, encode_result
from heliograph.ipc.control_client import (
    ConnectionLost,
    ControlClient,
    RequestFailed,
    RequestTimeout,
    ServerNotRunning,
    request,
    request_with_fds,
)
from heliograph.testing.harness.harness import eventually


@pytest.fixture
def path(directory):
    return directory / "control.sock"


@pytest.fixture
def serve(path):
    """Serve one client by a function in a thread."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)  # a client that fails before it connects must not block the end of the test

        def start(script):
            def run():
                peer, _ = listener.accept()
                with peer:
                    script(peer)

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            return thread

        yield start


@pytest.fixture
def few_files():
    """This process may open five files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(5)]  # other tests of this process may have left gaps between descriptors
    for fd in free:
        os.close(fd)
    limit = max(free) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened():
    """Return the number of descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def answering(*frames, descriptors=(), pieces=1):
    """A script: for each request one answer, in so many pieces."""

    def script(peer):
        for frame in frames:
            peer.recv(65_536)
            socket.send_fds(peer, [frame[:pieces]] if pieces > 1 else [frame], descriptors)
            if pieces > 1:
                for byte in frame[pieces:]:
                    peer.sendall(bytes([byte]))

    return script


def test_several_requests_share_a_connection(serve, path):
    """Each answer belongs to its request."""
    serve(
        answering(encode_result(1, {"a": 1}), encode_error(2, "busy", "not now"), encode_result(3, {"c": 3}), pieces=2)
    )
    with ControlClient(path) as client:
        assert client.request("first") == {"a": 1}
        with pytest.raises(RequestFailed, match=r"^not now$") as failure:
            client.request("second")
        assert failure.value.code == "busy"
        assert client.request("third") == {"c": 3}


def test_a_request_has_verb_id_version_and_arguments(serve, path):
    asked = []

    def script(peer):
        asked.append(peer.recv(65_536))
        peer.sendall(encode_result(1, {}))

    serve(script)
    assert request(path, "schedule", count=3) == {}
    length, text = asked[0][:4], asked[0][4:]
    assert int.from_bytes(length, "big") == len(text)
    assert json.loads(text) == {"version": 1, "id": 1, "verb": "schedule", "arguments": {"count": 3}}


def test_descriptors_come_with_the_answer(serve, path):
    """They are the caller's, and programs that it starts do not inherit them."""
    before = opened()
    thread = serve(answering(encode_result(1, {"a": 1}), descriptors=[0, 1, 2], pieces=5))
    result, descriptors = request_with_fds(path, "attach")
    assert (result, len(descriptors)) == ({"a": 1}, 3)
    assert [os.get_inheritable(fd) for fd in descriptors] == [False] * 3
    for fd in descriptors:
        os.close(fd)
    thread.join()
    assert opened() == before


def test_unrequested_descriptors_are_closed(serve, path):
    """Also with an answer that is an error."""
    before = opened()
    thread = serve(answering(encode_result(1, {}), encode_error(2, "failed", "no"), descriptors=[0, 1]))
    with ControlClient(path) as client:
        client.request("state")
        with pytest.raises(RequestFailed):
            client.request_with_fds("attach")
    thread.join()
    assert opened() == before


def test_more_descriptors_than_this_process_may_have(serve, path, request):
    """The kernel passes what fits, and says so: the error names the limit, and nothing stays open."""
    limit = request.getfixturevalue("few_files")
    before = opened()
    thread = serve(answering(encode_result(1, {}), descriptors=[0] * 20))
    with pytest.raises(ConfigError, match=f"may open {limit} files, .*ulimit -n"):
        request_with_fds(path, "attach")
    thread.join()
    assert opened() == before


def test_events_come_until_the_server_closes(serve, path):
    """First the state, then each event; events of other subscriptions are left out."""

    def script(peer):
        peer.recv(65_536)
        events = [encode_event(1, {"n": 1}), encode_event(9, {"n": 9}), encode_event(1, {"n": 2})]
        peer.sendall(encode_result(1, {"generation": 4}) + b"".join(events))

    serve(script)
    with ControlClient(path) as client:
        assert list(client.subscribe()) == [{"generation": 4}, {"n": 1}, {"n": 2}]


def test_a_request_skips_events(serve, path):
    """A client may subscribe and go on asking."""

    def script(peer):
        peer.recv(65_536)
        peer.sendall(encode_result(1, {}))
        peer.recv(65_536)
        peer.sendall(encode_event(1, {"n": 1}) + encode_result(2, {"b": 2}))

    serve(script)
    with ControlClient(path) as client:
        assert next(client.subscribe()) == {}
        assert client.request("state") == {"b": 2}


@pytest.mark.parametrize("bound", [False, True])
def test_no_server(path, bound):
    """No socket, or one without a listener: the error says where and why."""
    with socket.socket(socket.AF_UNIX) as dead:
        if bound:
            dead.bind(str(path))
        reason = "Connection refused" if bound else "No such file or directory"
        before = opened()
        with pytest.raises(ServerNotRunning, match=rf"^no server answers at {path}: {reason}\.$"):
            request(path, "state")
        assert opened() == before


def test_a_silent_server(path):
    """The client gives up in time."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        before = time.monotonic()
        with pytest.raises(RequestTimeout, match=r"no server answers at .*: timed out"):
            request(path, "state", timeout=0.05)
        assert time.monotonic() - before < 2


def test_a_server_that_sends_a_byte_now_and_then(serve, path):
    """The timeout holds for the whole answer."""

    def script(peer):
        with contextlib.suppress(OSError):
            for byte in encode_result(1, {"a": 1}):
                peer.sendall(bytes([byte]))
                time.sleep(0.02)

    serve(script)
    with pytest.raises(RequestTimeout):
        request(path, "state", timeout=0.1)


@pytest.mark.parametrize("timeout", [2**31 / 1000, 2**31, 1e12, 1e300, float("inf")])
def test_a_timeout_may_be_longer_than_the_kernel_takes(serve, path, timeout):
    """The client waits for the answer, piece by piece."""
    serve(lambda peer: peer.recv(4096) and peer.sendall(encode_result(1, {"a": 1})))
    assert request(path, "state", timeout=timeout) == {"a": 1}


def test_a_part_of_a_long_wait(serve, path, monkeypatch):
    """Its end is not that of the whole."""
    monkeypatch.setattr(control_client, "MAX_WAIT", 0.01)
    parts = []

    def script(peer):
        peer.recv(4096)
        eventually("three parts", lambda: len(parts) > 2)
        peer.sendall(encode_result(1, {"a": 1}))

    serve(script)
    with ControlClient(path, 1e12) as client:
        read = client._read
        monkeypatch.setattr(client, "_read", lambda deadline: parts.append(deadline) or read(deadline))
        assert client.request("state", timeout=None) == {"a": 1}


def test_a_full_backlog(path):
    """The client tries again until its time is over."""
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as stack:
        busy.bind(str(path))
        busy.listen(0)
        stack.enter_context(contextlib.closing(ControlClient(path)))
        with pytest.raises(RequestTimeout):
            request(path, "state", timeout=0.05)


@pytest.mark.parametrize("frame", [b"", encode_result(1, {"a": 1})[:-1]], ids=["nothing", "half"])
def test_a_server_that_closes_the_connection(serve, path, frame):
    """Without an answer, or within one."""
    serve(answering(frame) if frame else lambda peer: peer.recv(100))
    with pytest.raises(ConnectionLost, match=r"closed the connection. It is stopping"):
        request(path, "state")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "bad frame length"),
        ((MAX_ANSWER_BYTES + 1).to_bytes(4, "big"), "bad frame length"),
        (b"\0\0\0\5hello", "not a JSON object"),
        (b"\0\0\0\x27" + b'{"version": 2, "id": 1, "result": {"a"}'.ljust(39), "not a JSON object"),
        (b"\0\0\0\x26" + b'{"version": 2, "id": 1, "result": {} }', "version 2 .*Upgrade the command"),
        (b"\0\0\0\x26" + b'{"version": 0, "id": 1, "result": {} }', "version 0 .*Restart the server"),
    ],
)
def test_an_answer_that_cannot_be_understood(serve, path, frame, message):
    """Another protocol, or another version: one line."""
    serve(answering(frame))
    with pytest.raises(ConfigError, match=message) as failure:
        request(path, "state")
    assert "\n" not in str(failure.value)
    assert str(path) in str(failure.value)


def test_a_server_that_could_not_read_the_request(serve, path):
    """Its error has no id."""
    serve(answering(encode_error(None, "malformed", "what is this?")))
    with pytest.raises(RequestFailed, match="what is this"):
        request(path, "state")
