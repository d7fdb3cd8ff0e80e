"""Many small clients of the master, none of whom can hang or grow it.

A client sends one request and gets one answer. What it sends is bounded in size and time, and so is the number of
clients: one more takes the place of who has been there longest, so that silent ones keep nobody out. Nothing here
blocks. Served from the master's own loop.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from heliograph.ipc.control_client import MAX_DESCRIPTORS
from heliograph.loop import Selector, Service

MAX_CLIENTS = 64
"""Connections at a time."""

_EMFILE_PAUSE = 0.01
"""Seconds that the master pauses when no descriptor is free."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and descriptors that go with it. An empty one closes the connection."""

    text: bytes
    descriptors: tuple[int, ...] = ()


Respond = Callable[[bytes, socket.socket], Reply | None]
"""The answer to a request that came over that socket; None while it is not complete."""


@dataclass(slots=True)
class _Client:
    socket: socket.socket
    until: float
    asked: bytes = b""
    answer: bytes = b""
    descriptors: tuple[int, ...] = ()


class RequestServer(Service):
    """Serves the clients of one listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        selector: Selector,
        respond: Respond,
        max_bytes: int,
        timeout: float,
    ) -> None:
        """`most` are the bytes of a request, `patience` the seconds for a request and its answer."""
        self._listener = listener
        self._selector = selector
        self._respond = respond
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._clients: dict[int, _Client] = {}
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    @property
    def deadline(self) -> float:
        """When `tick` is due at the latest."""
        return min((client.until for client in self._clients.values()), default=float("inf"))

    def tick(self, now: float) -> None:
        """Send away who takes too long."""
        for client in [client for client in self._clients.values() if client.until <= now]:
            self._close(client)

    def restart(self) -> None:
        """Disconnect all clients: an error may have left one of them half served."""
        for client in list(self._clients.values()):
            self._close(client)

    def close(self) -> None:
        """Serve nobody any more."""
        for client in list(self._clients.values()):
            self._close(client)
        self._selector.unregister(self._listener)
        self._listener.close()

    def accepts_peer(self, sock: socket.socket) -> bool:
        """Whether to serve a new connection at all."""
        del sock
        return True

    def _accept(self, now: float) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and self._clients:
                self._close(next(iter(self._clients.values())))  # who waits longest makes room
            elif error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_EMFILE_PAUSE)  # the listener stays readable: do not ask in a circle
            return
        if not self.accepts_peer(sock):
            sock.close()
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._close(next(iter(self._clients.values())))
        sock.setblocking(False)
        client = _Client(sock, now + self._timeout)
        self._clients[sock.fileno()] = client
        self._selector.register(sock, selectors.EVENT_READ, partial(self._read, client))

    def _read(self, client: _Client, _now: float) -> None:
        try:
            chunk = client.socket.recv(self._max_bytes)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        client.asked += chunk
        reply = self._respond(client.asked, client.socket) if chunk else Reply(b"")
        if reply is not None and reply.text:
            client.answer, client.descriptors = reply.text, reply.descriptors
            self._selector.modify(client.socket, selectors.EVENT_WRITE, partial(self._write, client))
        elif reply is not None or len(client.asked) >= self._max_bytes:
            self._close(client)

    def _write(self, client: _Client, _now: float) -> None:
        now, later = client.descriptors[:MAX_DESCRIPTORS], client.descriptors[MAX_DESCRIPTORS:]
        # Each piece of descriptors needs a byte to go with; the last takes the rest of the answer.
        text = client.answer[:1] if later else client.answer
        try:
            sent = socket.send_fds(client.socket, [text], now) if now else client.socket.send(text)
        except BlockingIOError:
            return
        except OSError:
            sent, later = len(client.answer), ()
        client.answer, client.descriptors = client.answer[sent:], later
        if not client.answer:
            self._close(client)

    def _close(self, client: _Client) -> None:
        fd = client.socket.fileno()
        if fd < 0:  # it was sent away, and what it sent meanwhile is looked at now
            return
        del self._clients[fd]
        self._selector.unregister(client.socket)
        client.socket.close()
