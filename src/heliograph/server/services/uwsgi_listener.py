"""Receives signals from external processes, in the packet format of uWSGI's signal sockets.

The listener rejects signals that are not allowed, answers 00, and logs that at a limited rate.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from heliograph._core.signals.packet import PACKET_SIZE, decode_signal, encode_answer
from heliograph.exceptions import ConfigError
from heliograph.ipc.request_server import Reply, RequestServer
from heliograph.loop import NEVER, Loop, Selector
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.socket_watch import SocketWatch, Texts, WatchedFile
from heliograph.settings.addresses import Address
from heliograph.settings.options import ServerSettings

_LOG = logging.getLogger("heliograph.master")

CLIENT_TIMEOUT = 5.0
"""Seconds in which a client must send its four bytes."""
_LOG_INTERVAL = 1.0
"""Seconds between two log lines about rejected signals."""

SendExternal = Callable[[int], str | None]
"""Sends a signal. Returns the reason if it is rejected, else None."""


_RESTORED = "The socket for external signals was removed, restored: {}"
_FAILED = "Cannot restore the socket for external signals, trying again: %s"


def open_uwsgi_listener(
    loop: Loop, settings: ServerSettings, queues: MasterQueues, dispatcher: Dispatcher
) -> list[UwsgiListener]:
    """Listen for external signals, if an address for them is set. Restore a Unix socket when its file is removed."""
    if (address := settings.listen) is None:
        return []
    send = partial(queues.send_external, allowed=settings.allow_remote)
    listener = loop.open("uwsgi listener", lambda selector: UwsgiListener(address, selector, send))
    if address.path:
        files = (WatchedFile(Path(address.path), listener.is_in_place, listener.listen_again),)
        texts = Texts(_RESTORED.format(address), _FAILED)
        watch = loop.open("watch of the uwsgi listener", lambda selector: SocketWatch(selector, files, texts))
        dispatcher.observe(watch.observe)
    return [listener]


class UwsgiListener(RequestServer):
    """Listens at an address, and sends the signals that arrive."""

    def __init__(
        self,
        address: Address,
        selector: Selector,
        send: SendExternal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen at the address. Raises: ConfigError: that is not possible."""
        self._send = send
        self._rejected = 0
        self._logged_at = -NEVER
        self._address = address
        listener = self._listen()
        self._file = address.file_id()
        super().__init__(listener, selector, self._respond_to, PACKET_SIZE, CLIENT_TIMEOUT, clock)

    def is_in_place(self) -> bool:
        """Return True if programs that connect to the path reach this server."""
        return self._file is not None and self._address.file_id() == self._file

    def listen_again(self) -> None:
        """Create the Unix socket again if its file was removed.

        Raises:
            ConfigError: Another server listens at the path by now, or the socket cannot be created.
        """
        if not self.is_in_place():
            self.replace_listener(self._listen())
            self._file = self._address.file_id()

    def stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._address.remove_file(self._file)
        super().stop_listening()

    def _listen(self) -> socket.socket:
        try:
            return self._address.listen()
        except ValueError as error:
            raise ConfigError(f"--socket {self._address}: {error}") from error

    def _respond_to(self, asked: bytes, _sock: socket.socket) -> Reply | None:
        if len(asked) < PACKET_SIZE:
            return None
        num = decode_signal(asked)
        if num is None:
            self._log_rejected("not a signal packet")
            return Reply(b"")
        reason = self._send(num)
        if reason is not None:
            self._log_rejected(f"signal {num}: {reason}")
        return Reply(encode_answer(taken=reason is None))

    def _log_rejected(self, what: str) -> None:
        self._rejected += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_INTERVAL:
            _LOG.warning("Rejected external signal: %s (%d since the last such line)", what, self._rejected)
            self._rejected, self._logged_at = 0, now
