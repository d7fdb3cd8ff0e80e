"""The master's control socket: frames of the control protocol in, the answers of verbs out.

Only processes of the server's own user and of root are served: the socket has mode 0600, and the kernel reports the
user.
`ipc.control` describes the frames, `services.verbs` holds the verbs, `ipc.control_client` is the other end.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from heliograph.exceptions import ConfigError
from heliograph.ipc.control import (
    MAX_REQUEST_BYTES,
    ErrorCode,
    ProtocolError,
    Request,
    encode_error,
    encode_event,
    encode_result,
    in_short,
    parse_request,
    take_frame,
)
from heliograph.ipc.control_sockets import is_served
from heliograph.ipc.request_server import Connection, ConnectionServer
from heliograph.loop import Selector
from heliograph.settings.addresses import Address

_LOG = logging.getLogger("heliograph.master")

CLIENT_TIMEOUT = 5.0
"""Seconds that a client may take to send a request and to read the answer."""
MAX_UNREAD_BYTES = 1 << 20
"""Bytes of events that a subscriber may leave unread. After that the server closes the connection."""

_PEER = struct.Struct("iII")

Right = Literal["read", "control"]
"""Permission to look at a server, or to change what it does."""


class Refused(Exception):
    """A verb refuses a request."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a verb, with descriptors for the client. `owned` are closed when they have been sent."""

    result: Mapping[str, Any]
    descriptors: tuple[int, ...] = ()
    owned: tuple[int, ...] = ()


class Call:
    """One request to a verb. A verb that returns None answers later, by `finish` or `fail`."""

    def __init__(self, connection: Connection, request: Request, pid: int) -> None:
        self.arguments = request.arguments
        self.pid = pid
        """Process id of the client."""
        self._id = request.id
        self._connection = connection

    @property
    def is_open(self) -> bool:
        """False when the client has gone."""
        return self._connection.is_open

    def hold(self) -> None:
        """Let the client wait for an event.

        Raises:
            Refused: Too many clients wait.
        """
        if not self._connection.hold():
            raise Refused("busy", "too many clients wait for this server. Try again later, or without waiting.")

    def answer(self, answer: Answer) -> None:
        """Send the result."""
        self._connection.send(encode_result(self._id, answer.result), answer.descriptors, answer.owned)

    def refuse(self, code: ErrorCode, message: str) -> None:
        """Send an error."""
        self._connection.send(encode_error(self._id, code, message))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Send the result to a client that was held."""
        self._connection.release()
        self.answer(Answer(result))

    def fail(self, code: ErrorCode, message: str) -> None:
        """Send an error to a client that was held."""
        self._connection.release()
        self.refuse(code, message)

    def push(self, event: Mapping[str, Any]) -> None:
        """Send an event to a subscriber, or close its connection if it does not read."""
        if self._connection.unsent > MAX_UNREAD_BYTES:
            self._connection.abort()
        self._connection.send(encode_event(self._id, event))


@dataclass(frozen=True, slots=True)
class Verb:
    """A kind of request: its function, the right that it needs, and its arguments."""

    function: Callable[[Call], Answer | None]
    right: Right
    arguments: Mapping[str, type] = field(default_factory=dict[str, type])
    """Names and types of the arguments. All are optional."""


class ControlServer(ConnectionServer):
    """Serves the control socket from the master's own loop."""

    def __init__(
        self,
        path: Path,
        selector: Selector,
        verbs: Mapping[str, Verb],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen at `path`. The caller holds the lock of the server's name, so an existing file is stale."""
        self._path = path
        self._address = Address(path=str(path))
        self._verbs = verbs
        listener = _listen(path)
        self._file = self._address.file_id()
        super().__init__(listener, selector, CLIENT_TIMEOUT, clock)

    @property
    def path(self) -> Path:
        """The path of the socket."""
        return self._path

    def is_in_place(self) -> bool:
        """Return True if clients that connect to the path reach this server."""
        return self._file is not None and self._address.file_id() == self._file

    def listen_again(self) -> None:
        """Create the socket again if its file was removed. The caller holds the lock of the server's name.

        Raises:
            ConfigError: Another server listens at the path by now, or the socket cannot be created.
        """
        if self.is_in_place():
            return
        if is_served(self._path) and not self._path.is_symlink():  # else to a server with --control and the same name
            raise ConfigError(f"another server listens at {self._path}.")
        if self._path.exists() and not self._path.is_socket():
            raise ConfigError(f"there is a file that is not a socket: {self._path}. Remove it.")
        listener = _listen(self._path)
        self.replace_listener(listener)
        self._file = self._address.file_id()

    def stop_listening(self) -> None:
        """Accept no more connections and remove the socket. Connections stay open until `close`."""
        if self._listener.fileno() >= 0:
            self._address.remove_file(self._file)
        super().stop_listening()

    def accepts_peer(self, sock: socket.socket) -> bool:
        _, uid = _peer(sock)
        return bool(rights_of(uid))

    def handle(self, connection: Connection) -> bool:
        try:
            frame = take_frame(connection.received, MAX_REQUEST_BYTES)
        except ProtocolError as error:
            connection.received.clear()
            connection.send(encode_error(None, error.code, str(error)))
            connection.close()
            return False
        if frame is None:
            return False
        try:
            request = parse_request(frame)
        except ProtocolError as error:
            connection.send(encode_error(error.request_id, error.code, str(error)))
        else:
            pid, uid = _peer(connection.socket)
            self._answer(Call(connection, request, pid), request.verb, rights_of(uid))
        return True

    def _answer(self, call: Call, name: str, rights: frozenset[Right]) -> None:
        try:
            answer = self._call(call, name, rights)
        except Refused as refusal:
            call.refuse(refusal.code, str(refusal))
        except OSError as error:
            # The master has no descriptor left, for instance. That fails one request, not all clients.
            _LOG.error("Cannot carry out request %s: %s", in_short(name), error)
            call.refuse("failed", f"the server cannot do that now: {error.strerror or error}.")
        else:
            if answer is not None:
                call.answer(answer)

    def _call(self, call: Call, name: str, rights: frozenset[Right]) -> Answer | None:
        verb = self._verbs.get(name)
        if verb is None:
            raise Refused("unknown_verb", f"unknown verb: {in_short(name)}. Verbs: {', '.join(sorted(self._verbs))}.")
        if verb.right not in rights:
            raise Refused("forbidden", f"not permitted: {name}. Run the command as the user of the server.")
        _check_arguments(name, verb, call.arguments)
        return verb.function(call)


def rights_of(uid: int) -> frozenset[Right]:
    """Return the rights of a user: everything with a server of its own, and for root with each. Nothing otherwise."""
    return frozenset({"read", "control"}) if uid in (os.getuid(), 0) else frozenset()


def _check_arguments(name: str, verb: Verb, arguments: Mapping[str, Any]) -> None:
    for argument, value in arguments.items():
        expected = verb.arguments.get(argument)
        if expected is None:
            known = ", ".join(sorted(verb.arguments)) or "none"
            raise Refused("bad_argument", f"unknown argument of {name}: {in_short(argument)}. Arguments: {known}.")
        if type(value) is not expected:
            raise Refused("bad_argument", f"bad {argument} for {name}: {in_short(value)}. Send {expected.__name__}.")


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise ConfigError(f"cannot listen at {path} ({reason}). Use --control with another path.") from error
    finally:
        os.umask(before)
    return listener


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Return process id and user id of the client, from the kernel."""
    pid, uid, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, uid
