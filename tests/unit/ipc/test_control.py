"""Frames of the control protocol: whatever the bytes and however they are cut, there is a message or an error."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.ipc.control import (
    LENGTH_BYTES,
    MAX_REQUEST_BYTES,
    VERSION,
    ProtocolError,
    Request,
    encode_error,
    encode_event,
    encode_request,
    encode_result,
    in_short,
    parse_answer,
    parse_request,
    take_frame,
    version_error,
)

NAMES = st.text(max_size=20)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | NAMES, st.lists, max_leaves=5)
REQUESTS = st.builds(Request, st.integers(0, 1 << 53), NAMES, st.dictionaries(NAMES, VALUES, max_size=3))


def frames_of(chunks, max_bytes=MAX_REQUEST_BYTES):
    """All frames, when the bytes come in these chunks."""
    buffer, found = bytearray(), []
    for chunk in chunks:
        buffer += chunk
        while (frame := take_frame(buffer, max_bytes)) is not None:
            found.append(frame)
    return found, bytes(buffer)


def cut(data, places):
    """The bytes in chunks that end at these places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(requests=st.lists(REQUESTS, max_size=4), places=st.lists(st.integers(0, 1 << 20), max_size=10))
def test_requests_survive_any_chunking(requests, places):
    """Several in a row, cut anywhere, also within a length."""
    stream = b"".join(map(encode_request, requests))
    found, rest = frames_of(cut(stream, places))
    assert [parse_request(frame) for frame in found] == requests
    assert rest == b""


@given(request=REQUESTS, missing=st.integers(1, 10))
def test_half_a_frame_is_not_a_frame(request, missing):
    """It stays in the buffer."""
    stream = encode_request(request)[:-missing]
    assert frames_of([stream]) == ([], stream)


@pytest.mark.parametrize("length", [0, 101, 102, 1 << 31, (1 << 32) - 1])
def test_a_bad_length_is_an_error(length):
    """Nothing, or more than the limit: the error names it, before any of the JSON has come."""
    buffer = bytearray(length.to_bytes(LENGTH_BYTES, "big"))
    with pytest.raises(
        ProtocolError, match=rf"bad frame length: {length}\. Send 4 bytes of length, 1 to 100"
    ) as failure:
        take_frame(buffer, 100)
    assert (failure.value.code, failure.value.request_id) == ("malformed", None)


@pytest.mark.parametrize("length", [1, 99, 100])
def test_a_length_up_to_the_limit_is_accepted(length):
    assert take_frame(bytearray(length.to_bytes(LENGTH_BYTES, "big") + b"x" * length), 100) == b"x" * length


@given(data=st.binary(max_size=300))
def test_any_bytes_are_frames_or_an_error(data):
    """No other exception, and nothing is lost without one."""
    try:
        found, rest = frames_of([data], max_bytes=64)
    except ProtocolError:
        return
    assert b"".join(len(frame).to_bytes(LENGTH_BYTES, "big") + frame for frame in found) + rest == data


@given(frame=st.binary(max_size=100) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_garbage_in_a_frame_is_an_error(frame):
    """Of requests and of answers."""
    for parse in (parse_request, parse_answer):
        with pytest.raises(ProtocolError):
            parse(frame)


DEEP = (b"[" * 65_536, b'{"a":' * 10_000, b'{"version":1,"id":1,"verb":"v","arguments":' + b"[" * 60_000)


@pytest.mark.parametrize("frame", DEEP, ids=lambda frame: repr(frame[:10]))
def test_json_as_deep_as_a_frame_allows_is_an_error(frame):
    with pytest.raises(ProtocolError, match="not a JSON object"):
        parse_request(frame)


GOOD = {"version": VERSION, "id": 3, "verb": "state", "arguments": {}}


@pytest.mark.parametrize(
    ("change", "message", "request_id"),
    [
        ({"id": None}, "bad request id: None", None),
        ({"id": -1}, "bad request id: -1", None),
        ({"id": 1 << 60}, "bad request id: ", None),
        ({"id": True}, "bad request id: True", None),
        ({"id": "3"}, "bad request id: '3'", None),
        ({"verb": None}, "bad verb: None", 3),
        ({"verb": {"verb": []}}, "bad verb: ", 3),
        ({"verb": ["x" * 5000]}, "bad verb: ", 3),
        ({"arguments": []}, r"bad arguments: \[\]", 3),
        ({"arguments": None}, "bad arguments: None", 3),
    ],
)
def test_a_bad_field_is_named(change, message, request_id):
    """The error has the id of the request if that is one, and does not repeat long values."""
    with pytest.raises(ProtocolError, match=message) as failure:
        parse_request(json.dumps({**GOOD, **change}).encode())
    assert (failure.value.code, failure.value.request_id) == ("malformed", request_id)
    assert len(str(failure.value)) < 200


def test_arguments_may_be_left_out():
    frame = json.dumps({"version": VERSION, "id": 0, "verb": "state"}).encode()
    assert parse_request(frame) == Request(0, "state", {})


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_json_does_not_have_are_refused(constant):
    frame = f'{{"version": 1, "id": 1, "verb": "state", "arguments": {{"x": {constant}}}}}'.encode()
    with pytest.raises(ProtocolError, match="not a JSON object"):
        parse_request(frame)


@pytest.mark.parametrize("version", [None, 0, 2, 99, "1", True, 1.0])
def test_another_version_is_refused_in_one_line(version):
    """The older end is to be replaced: the server by a restart, the command by an upgrade."""
    newer = version in (2, 99)
    request = json.dumps({**GOOD, "version": version}).encode()
    with pytest.raises(ProtocolError) as failure:
        parse_request(request)
    assert (failure.value.code, failure.value.request_id) == ("version", 3)
    assert str(failure.value) == version_error(version, peer="command")
    assert str(failure.value).endswith("Restart the server." if newer else "Upgrade the command.")
    answer = json.dumps({"version": version, "id": 3, "result": {}}).encode()
    with pytest.raises(ProtocolError) as failure:
        parse_answer(answer)
    assert str(failure.value).endswith("Upgrade the command." if newer else "Restart the server.")
    assert f"version {version!r} of the control protocol, not version {VERSION}" in str(failure.value)
    assert "\n" not in str(failure.value)


def parsed(frame):
    found, rest = frames_of([frame])
    assert rest == b""
    return parse_answer(found[0])


def test_answers_and_events():
    """Each has the version and the id of its request."""
    own = {"version": VERSION, "id": 7}
    assert parsed(encode_result(7, {"pid": 1})) == {**own, "result": {"pid": 1}}
    assert parsed(encode_event(7, {"type": "x"})) == {**own, "event": {"type": "x"}}
    error = {"code": "busy", "message": "no"}
    assert parsed(encode_error(7, "busy", "no")) == {**own, "error": error}
    assert parsed(encode_error(None, "busy", "no")) == {**own, "id": None, "error": error}


@pytest.mark.parametrize(
    "message",
    [{"id": 1}, {"id": 1, "result": 5}, {"id": "1", "result": {}}, {"id": 1, "result": {}, "error": {}}],
)
def test_an_answer_that_is_none_is_an_error(message):
    with pytest.raises(ProtocolError, match="not an answer"):
        parse_answer(json.dumps({"version": VERSION, **message}).encode())


def test_long_values_are_shown_in_short():
    assert in_short("a") == "'a'"
    assert len(in_short("a" * 1000)) == len(in_short(b"\0" * 1000)) == 80
