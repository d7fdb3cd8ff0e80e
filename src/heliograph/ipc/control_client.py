"""The client of the control protocol: send requests to a server's master and read its answers.

`ipc.control` describes the frames. An answer may bring descriptors (`SCM_RIGHTS`).
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

from heliograph.exceptions import ConfigError
from heliograph.ipc.control import (
    MAX_ANSWER_BYTES,
    ErrorCode,
    ProtocolError,
    Request,
    encode_request,
    parse_answer,
    take_frame,
)
from heliograph.models import MAX_WAIT

MAX_DESCRIPTORS = 253
"""Descriptors that the kernel passes in one message (`SCM_MAX_FD`)."""
DEFAULT_TIMEOUT = 10.0
"""Seconds to wait for an answer."""

_CREDENTIALS = struct.Struct("iII")
_CHUNK_BYTES = 65_536
_INT_BYTES = 4
_ANCILLARY_BYTES = socket.CMSG_LEN(MAX_DESCRIPTORS * _INT_BYTES)
_CONNECT_PAUSE = 0.01
"""Seconds between two attempts to connect to a server with a full backlog."""


class ServerNotRunning(ConfigError):
    """No server gave an answer."""


class ConnectionLost(ServerNotRunning):
    """The server closed the connection before it answered."""


class RequestTimeout(ServerNotRunning):
    """The server did not answer in time."""


class RequestFailed(ConfigError):
    """The server answered with an error."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code


class ControlClient:
    """A connection to the control socket of a server. Use it as a context manager.

    Raises:
        ServerNotRunning: No server listens there, or it does not answer.
        RequestFailed: The server answered with an error.
        ConfigError: The answer cannot be understood, for instance because the server has another version.
    """

    def __init__(self, path: Path, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Connect. `timeout` are the seconds that each answer may take."""
        self._path = path
        self._timeout = timeout
        self._buffer = bytearray()
        self._descriptors: list[int] = []
        self._last_id = 0
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._connect(time.monotonic() + timeout)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def server_pid(self) -> int:
        """Process id of the master. 0 if this container cannot see it."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(credentials)[0]
        return pid

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
        self._close_descriptors()

    def request(self, verb: str, *, timeout: float | None = None, **arguments: object) -> dict[str, Any]:
        """Send a request and return its result. `timeout` are seconds, if this answer may take another time."""
        result, descriptors = self.request_with_fds(verb, timeout=timeout, **arguments)
        for fd in descriptors:
            os.close(fd)
        return result

    def request_with_fds(
        self, verb: str, *, timeout: float | None = None, **arguments: object
    ) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Send a request and return its result and its descriptors. The caller closes them."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        request_id = self._send(verb, arguments, deadline)
        message = self._receive(deadline)
        while message["id"] != request_id or "event" in message:  # events of an earlier `subscribe`
            if message["id"] is None:
                break  # the server could not read the request
            message = self._receive(deadline)
        try:
            result = _result_of(message)
        except RequestFailed:
            self._close_descriptors()
            raise
        descriptors, self._descriptors = tuple(self._descriptors), []
        return result, descriptors

    def subscribe(self, until: float | None = None) -> Generator[dict[str, Any]]:
        """Yield the server's state, and then each event, until the server closes the connection.

        Raises:
            RequestTimeout: `time.monotonic()` has reached `until`.
        """
        request_id = self._send("subscribe", {}, time.monotonic() + self._timeout)
        yield _result_of(self._receive(time.monotonic() + self._timeout))
        while True:
            try:
                message = self._receive(until)
            except ConnectionLost:
                return
            if message["id"] == request_id and "event" in message:
                yield message["event"]

    def _connect(self, deadline: float) -> None:
        while True:
            try:
                self._socket.settimeout(_seconds_until(deadline))
                self._socket.connect(str(self._path))
            except BlockingIOError:  # the backlog is full, and for a Unix socket the kernel says so at once
                if time.monotonic() >= deadline:
                    raise self._timed_out() from None
                time.sleep(_CONNECT_PAUSE)
            except TimeoutError:
                raise self._timed_out() from None
            except OSError as error:
                raise ServerNotRunning(f"no server answers at {self._path}: {error.strerror or error}.") from error
            else:
                return

    def _send(self, verb: str, arguments: dict[str, object], deadline: float) -> int:
        self._last_id += 1
        self._socket.settimeout(_seconds_until(deadline))
        try:
            self._socket.sendall(encode_request(Request(self._last_id, verb, arguments)))
        except TimeoutError:
            raise self._timed_out() from None
        except OSError as error:
            raise self._lost() from error
        return self._last_id

    def _receive(self, deadline: float | None) -> dict[str, Any]:
        try:
            while (frame := take_frame(self._buffer, MAX_ANSWER_BYTES)) is None:
                self._read(deadline)
            return parse_answer(frame)
        except ProtocolError as error:
            self._close_descriptors()
            raise ConfigError(f"bad answer of the server at {self._path}: {error}") from error

    def _read(self, deadline: float | None) -> None:
        self._socket.settimeout(None if deadline is None else _seconds_until(deadline))
        try:
            # Not `socket.recv_fds`: in Python 3.11 it ignores the flags, so programs would inherit the descriptors.
            chunk, ancillary, flags, _ = self._socket.recvmsg(_CHUNK_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        except TimeoutError:
            if deadline is not None and time.monotonic() < deadline:
                return  # a part of a long wait is over
            raise self._timed_out() from None
        except OSError as error:
            raise self._lost() from error
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors += memoryview(data[: len(data) - len(data) % _INT_BYTES]).cast("i")
        if flags & socket.MSG_CTRUNC:
            self._close_descriptors()
            raise _too_many_files()
        if not chunk:
            raise self._lost()
        self._buffer += chunk

    def _close_descriptors(self) -> None:
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors = []

    def _lost(self) -> ConnectionLost:
        self._close_descriptors()
        return ConnectionLost(
            f"the server at {self._path} closed the connection. It is stopping, runs as another user, or is too busy."
        )

    def _timed_out(self) -> RequestTimeout:
        self._close_descriptors()
        return RequestTimeout(f"no server answers at {self._path}: timed out.")


def request(path: Path, verb: str, *, timeout: float = DEFAULT_TIMEOUT, **arguments: object) -> dict[str, Any]:
    """Send one request to the server behind a control socket and return its result. See `ControlClient`."""
    with ControlClient(path, timeout) as client:
        return client.request(verb, timeout=None, **arguments)


def request_with_fds(
    path: Path, verb: str, *, timeout: float = DEFAULT_TIMEOUT, **arguments: object
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Send one request and return its result and its descriptors, which the caller closes."""
    with ControlClient(path, timeout) as client:
        return client.request_with_fds(verb, timeout=None, **arguments)


def _seconds_until(deadline: float) -> float:
    """Return the timeout of the next call to the kernel, which takes no longer ones."""
    return min(max(0.001, deadline - time.monotonic()), MAX_WAIT)


def _result_of(message: dict[str, Any]) -> dict[str, Any]:
    if "error" in message:
        error = message["error"]
        raise RequestFailed(error.get("code", "failed"), str(error.get("message", error)))
    result: dict[str, Any] = message.get("result", {})
    return result


def _too_many_files() -> ConfigError:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConfigError(
        f"this process may open {limit} files, which is too few for the server's queues. Raise the limit (ulimit -n), "
        "or use fewer workers and mules."
    )
