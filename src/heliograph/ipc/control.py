"""The frames of the control protocol: bytes <-> messages.

A frame is a length of 4 bytes (big endian) and so many bytes of JSON, one object. Each object has `version` and `id`:

    request   {"version": 1, "id": 7, "verb": "schedule", "arguments": {"count": 3}}
    answer    {"version": 1, "id": 7, "result": {...}}
    failure   {"version": 1, "id": 7, "error": {"code": "unknown_verb", "message": "..."}}
    event     {"version": 1, "id": 7, "event": {...}}

The client chooses the `id`, and the server repeats it. `id` is null in the answer to a frame that is no request.
`ipc.control_client` and `server.services.control` are the two ends. docs/reference/control-protocol.md lists the verbs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeGuard

VERSION = 1
"""Version of the protocol. A change that the other end cannot ignore increases it."""
MAX_REQUEST_BYTES = 64 << 10
"""Bytes of JSON in a request."""
MAX_ANSWER_BYTES = 16 << 20
"""Bytes of JSON in an answer or an event."""
LENGTH_BYTES = 4

_MAX_ID = 1 << 53
"""JSON readers in other languages keep integers up to here exactly."""
_MAX_SHOWN = 80
_EXAMPLE = '{"version": 1, "id": 1, "verb": "state"}'

ErrorCode = Literal[
    "malformed",
    "version",
    "unknown_verb",
    "bad_argument",
    "forbidden",
    "busy",
    "failed",
    "load_failed",
    "web_server_failed",
    "stopping",
]


class ProtocolError(Exception):
    """A frame cannot be understood."""

    def __init__(self, code: ErrorCode, message: str, request_id: int | None = None) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client."""

    id: int
    verb: str
    arguments: dict[str, Any]


def take_frame(buffer: bytearray, max_bytes: int) -> bytes | None:
    """Remove the first frame from a buffer and return its JSON. None while it is incomplete.

    Raises:
        ProtocolError: The length is 0 or above the limit. The rest of the stream is unusable.
    """
    if len(buffer) < LENGTH_BYTES:
        return None
    length = int.from_bytes(buffer[:LENGTH_BYTES], "big")
    if not 1 <= length <= max_bytes:
        raise ProtocolError(
            "malformed",
            f"bad frame length: {length}. Send 4 bytes of length, 1 to {max_bytes}, and then JSON: {_EXAMPLE}",
        )
    end = LENGTH_BYTES + length
    if len(buffer) < end:
        return None
    frame = bytes(buffer[LENGTH_BYTES:end])
    del buffer[:end]
    return frame


def encode_request(request: Request) -> bytes:
    """Return the frame of a request."""
    return _frame({"id": request.id, "verb": request.verb, "arguments": request.arguments})


def encode_result(request_id: int, result: Mapping[str, Any]) -> bytes:
    """Return the frame that answers a request."""
    return _frame({"id": request_id, "result": result})


def encode_error(request_id: int | None, code: ErrorCode, message: str) -> bytes:
    """Return the frame that refuses a request."""
    return _frame({"id": request_id, "error": {"code": code, "message": message}})


def encode_event(request_id: int, event: Mapping[str, Any]) -> bytes:
    """Return a frame that pushes an event to a subscriber."""
    return _frame({"id": request_id, "event": event})


def parse_request(frame: bytes) -> Request:
    """Return the request that a frame holds.

    Raises:
        ProtocolError: The frame holds something else, or a request of another version of the protocol.
    """
    message = _parse(frame)
    request_id, verb, arguments = message.get("id"), message.get("verb"), message.get("arguments", {})
    if not _is_number(request_id) or not 0 <= request_id <= _MAX_ID:
        raise ProtocolError("malformed", f"bad request id: {in_short(request_id)}. Send an integer, as in {_EXAMPLE}")
    if not _is_own_version(message.get("version")):
        raise ProtocolError("version", version_error(message.get("version"), peer="command"), request_id)
    if not isinstance(verb, str):
        raise ProtocolError("malformed", f"bad verb: {in_short(verb)}. Send a string, as in {_EXAMPLE}", request_id)
    if not isinstance(arguments, dict):
        raise ProtocolError("malformed", f"bad arguments: {in_short(arguments)}. Send an object.", request_id)
    return Request(request_id, verb, arguments)  # pyright: ignore[reportUnknownArgumentType]


def parse_answer(frame: bytes) -> dict[str, Any]:
    """Return the answer, failure or event that a frame holds.

    Raises:
        ProtocolError: The frame holds something else, or a message of another version of the protocol.
    """
    message = _parse(frame)
    if not _is_own_version(message.get("version")):
        raise ProtocolError("version", version_error(message.get("version"), peer="server"))
    kinds = [kind for kind in ("result", "error", "event") if isinstance(message.get(kind), dict)]
    if len(kinds) != 1 or not (message.get("id") is None or _is_number(message["id"])):
        raise ProtocolError("malformed", f"not an answer: {in_short(message)}. Restart the server.")
    return message


def version_error(version: object, *, peer: Literal["command", "server"]) -> str:
    """Return the one line that refuses a `peer` with another version of the protocol, and says what to do."""
    peer_is_newer = _is_number(version) and version > VERSION
    restart = peer_is_newer == (peer == "command")  # the older end is to be replaced
    advice = "Restart the server." if restart else "Upgrade the command."
    return f"the {peer} speaks version {in_short(version)} of the control protocol, not version {VERSION}. {advice}"


def in_short(value: object) -> str:
    """Return a value as text of at most 80 characters, for an error message."""
    text = repr(value[:_MAX_SHOWN] if isinstance(value, bytes) else value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _frame(message: dict[str, Any]) -> bytes:
    text = json.dumps({"version": VERSION, **message}).encode()
    return len(text).to_bytes(LENGTH_BYTES, "big") + text


def _parse(frame: bytes) -> dict[str, Any]:
    try:
        message: object = json.loads(frame, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ProtocolError("malformed", f"not a JSON object: {in_short(frame)}. Send an object, as in {_EXAMPLE}")
    return message  # pyright: ignore[reportUnknownVariableType]


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(text)  # NaN and Infinity are not JSON


def _is_own_version(value: object) -> bool:
    return _is_number(value) and value == VERSION


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
