"""Listening sockets of the master: many small clients, none of which can block it or use up its memory.

Rules
    The size of a request and the number of clients are bounded. One client more replaces the client that has been
    connected longest, so silent clients do not lock others out.
    A client must send its request and read its answer within a timeout. The server closes the connection otherwise.
    Exception: a client that is *held* (it waits for an event) may be silent, and keeps its place.
    A turn of the loop handles one request of a client. While a client does not read an answer, the server does not
    read its requests.
    All sockets are non-blocking.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from heliograph.ipc.control_client import MAX_DESCRIPTORS
from heliograph.loop import NEVER, Selector, Service

_LOG = logging.getLogger("heliograph.master")

MAX_CLIENTS = 64
"""Connections at a time."""
MAX_HELD = 32
"""Connections that may be held at a time."""

_CHUNK_BYTES = 65_536
_EMFILE_PAUSE = 0.01
"""Seconds that the master pauses when no descriptor is free."""
_EMFILE_LOG_INTERVAL = 60.0
"""Seconds between two log lines that say so."""
_NO_DESCRIPTOR = "Cannot accept connections at %s: %s. Raise the limit of open files (ulimit -n)"


@dataclass(slots=True)
class _Output:
    """Bytes to send, and the descriptors to send with them."""

    data: memoryview
    descriptors: tuple[int, ...] = ()
    owned: tuple[int, ...] = ()
    """Descriptors to close when they have been sent."""

    def close(self) -> None:
        for fd in self.owned:
            os.close(fd)


class Connection:
    """One client."""

    def __init__(self, server: ConnectionServer, sock: socket.socket, deadline: float) -> None:
        self.socket = sock
        self.received = bytearray()
        """Bytes that have been read and not been handled."""
        self.deadline = deadline
        self.output: deque[_Output] = deque()
        self.closing = False
        self.holds = 0
        self.events = selectors.EVENT_READ
        self._server = server

    @property
    def is_open(self) -> bool:
        """False when the client or the server has closed the connection."""
        return self.socket.fileno() >= 0

    @property
    def unsent(self) -> int:
        """Bytes that the client has not read yet."""
        return sum(len(output.data) for output in self.output)

    def send(self, data: bytes, descriptors: tuple[int, ...] = (), owned: tuple[int, ...] = ()) -> None:
        """Send bytes and descriptors, now or as soon as the client reads. `owned` are closed when they are sent."""
        output = _Output(memoryview(data), descriptors, owned)
        if not self.is_open:
            output.close()
            return
        if not self.output:
            self._server.renew(self)
        self.output.append(output)
        self._server.flush(self)

    def hold(self) -> bool:
        """Let the client wait for an event, without a timeout. Return False if too many clients wait."""
        if not self._server.may_hold():
            return False
        self.holds += 1
        return True

    def release(self) -> None:
        """End a `hold`."""
        self.holds -= 1
        self._server.renew(self)

    def close(self) -> None:
        """Close the connection when all output is sent."""
        self.closing = True
        self._server.flush(self)

    def abort(self) -> None:
        """Close the connection now."""
        self._server.drop(self)


class ConnectionServer(Service):
    """Serves the clients of one listening socket. A subclass handles their requests."""

    def __init__(
        self, listener: socket.socket, selector: Selector, timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`timeout` are the seconds that a client may take for a request, and to read the answer.

        `clock` is that of the loop. Answers and events are also sent between two calls by the loop.
        """
        self._listener = listener
        self._selector = selector
        self._timeout = timeout
        self._clock = clock
        self._connections: dict[int, Connection] = {}
        self._lack_logged_at = -NEVER
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def handle(self, connection: Connection) -> bool:
        """Handle the first complete request in `connection.received`. Return False if no request is complete."""
        raise NotImplementedError

    def accepts_peer(self, sock: socket.socket) -> bool:
        """Return True if a new connection is to be served."""
        del sock
        return True

    @property
    def deadline(self) -> float:
        """Time at which `tick` is due at the latest."""
        return min(map(_deadline_of, self._connections.values()), default=NEVER)

    def tick(self, now: float) -> None:
        """Close the connections of clients that are too slow."""
        for connection in [each for each in self._connections.values() if _deadline_of(each) <= now]:
            self.drop(connection)

    def replace_listener(self, listener: socket.socket) -> None:
        """Accept connections from another listener instead. Connections that are open stay open."""
        listener.setblocking(False)
        try:
            self._selector.register(listener, selectors.EVENT_READ, self._accept)
        except OSError:
            listener.close()
            raise
        ConnectionServer.stop_listening(self)
        self._listener = listener

    def stop_listening(self) -> None:
        """Accept no more connections."""
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()

    def close(self) -> None:
        """Close the listener and all connections."""
        self.stop_listening()
        for connection in list(self._connections.values()):
            self.drop(connection)

    def may_hold(self) -> bool:
        """Return True if one more client may wait for an event."""
        return sum(connection.holds for connection in self._connections.values()) < MAX_HELD

    def renew(self, connection: Connection) -> None:
        """Give a client the whole timeout again."""
        connection.deadline = self._clock() + self._timeout

    def flush(self, connection: Connection) -> None:
        """Send what the client reads now, and wait until it reads the rest."""
        while connection.output:
            sent = _send(connection)
            if sent is None:
                self.drop(connection)
                return
            if not sent:
                break
            self.renew(connection)
        if connection.closing and not connection.output:
            self.drop(connection)
        elif connection.is_open:
            self._watch(connection, selectors.EVENT_WRITE if connection.output else connection.events)

    def drop(self, connection: Connection) -> None:
        """Close a connection now."""
        if not connection.is_open:
            return
        for output in connection.output:
            output.close()
        connection.output.clear()
        del self._connections[connection.socket.fileno()]
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _watch(self, connection: Connection, events: int) -> None:
        callback = self._read if events == selectors.EVENT_READ else self._write
        if events != connection.events:
            self._selector.modify(connection.socket, events, partial(callback, connection))
            connection.events = events

    def _accept(self, now: float) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._log_lack(error, now)
                if not self._close_oldest():
                    time.sleep(_EMFILE_PAUSE)  # the listener stays readable, so the loop would spin
            return
        if not self.accepts_peer(sock) or (len(self._connections) >= MAX_CLIENTS and not self._close_oldest()):
            sock.close()
            return
        sock.setblocking(False)
        connection = Connection(self, sock, now + self._timeout)
        self._connections[sock.fileno()] = connection
        self._selector.register(sock, selectors.EVENT_READ, partial(self._read, connection))

    def _log_lack(self, error: OSError, now: float) -> None:
        if now - self._lack_logged_at >= _EMFILE_LOG_INTERVAL:
            self._lack_logged_at = now
            _LOG.error(_NO_DESCRIPTOR, self._listener.getsockname(), error.strerror)

    def _close_oldest(self) -> bool:
        """Close the oldest connection that is not held. Return False if there is none."""
        oldest = next((connection for connection in self._connections.values() if not connection.holds), None)
        if oldest is not None:
            self.drop(oldest)
        return oldest is not None

    def _read(self, connection: Connection, _now: float) -> None:
        try:
            chunk = connection.socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.drop(connection)
            return
        connection.received += chunk
        self._handle_next(connection)

    def _write(self, connection: Connection, _now: float) -> None:
        if connection.is_open:
            self.flush(connection)
        if connection.is_open and not connection.output:
            self._handle_next(connection)

    def _handle_next(self, connection: Connection) -> None:
        handled = self.handle(connection)
        if not connection.is_open:
            return
        if handled:
            self.renew(connection)
        # More requests may have come with this one. They are handled in later turns, when the socket is writable.
        more = handled and bool(connection.received)
        self._watch(connection, selectors.EVENT_WRITE if connection.output or more else selectors.EVENT_READ)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the only request of a connection. An empty one closes the connection."""

    text: bytes


Respond = Callable[[bytes, socket.socket], Reply | None]
"""Returns the answer to a request that came over that socket. None while the request is not complete."""


class RequestServer(ConnectionServer):
    """Answers one request of each client and closes the connection."""

    def __init__(
        self,
        listener: socket.socket,
        selector: Selector,
        respond: Respond,
        max_bytes: int,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_bytes` is the size of the largest request."""
        self._respond = respond
        self._max_bytes = max_bytes
        super().__init__(listener, selector, timeout, clock)

    def handle(self, connection: Connection) -> bool:
        if connection.closing:
            return False
        reply = self._respond(bytes(connection.received[: self._max_bytes]), connection.socket)
        if reply is None and len(connection.received) < self._max_bytes:
            return False
        connection.received.clear()
        if reply is not None and reply.text:
            connection.send(reply.text)
        connection.close()
        return True


def _deadline_of(connection: Connection) -> float:
    return NEVER if connection.holds and not connection.output else connection.deadline


def _send(connection: Connection) -> int | None:
    """Send a piece of output. Return the number of bytes, 0 if the client has to read first, None if it is gone."""
    output = connection.output[0]
    now, later = output.descriptors[:MAX_DESCRIPTORS], output.descriptors[MAX_DESCRIPTORS:]
    # Each group of descriptors needs a byte to go with. The last group goes with the rest of the bytes.
    data = output.data[:1] if later else output.data
    try:
        sent = socket.send_fds(connection.socket, [data], now) if now else connection.socket.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return None
    output.data, output.descriptors = output.data[sent:], later
    if not output.data:
        connection.output.popleft().close()
    return sent
