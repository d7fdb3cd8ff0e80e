"""Signals from outside: the uwsgi protocol's signal packet, taken by the master (D8).

Only numbers that were allowed are taken; everything else is answered 00 and logged, at a bounded rate.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections.abc import Callable

from heliograph._core.signals.packet import PACKET_SIZE, decode_signal, encode_answer
from heliograph.exceptions import ConfigError
from heliograph.ipc.request_server import Reply, RequestServer
from heliograph.settings.addresses import Address

_LOG = logging.getLogger("heliograph.master")

CLIENT_TIMEOUT = 5.0
"""Seconds that a client may take for its four bytes."""
_LOG_EVERY = 1.0
"""Seconds between two log lines about what was refused."""

SendExternal = Callable[[int], str | None]
"""Raise a signal; answers why not, or None when it was taken."""


class UwsgiListener(RequestServer):
    """Takes signals at an address, for the master."""

    def __init__(self, address: Address, selector: selectors.BaseSelector, take: SendExternal) -> None:
        """Listen at the address. Raises `ConfigError` if that is not possible."""
        self._take = take
        self._refused = 0
        self._said_at = float("-inf")
        self._address = address
        try:
            listener = address.listen()
        except ValueError as error:
            raise ConfigError(f"--socket {address}: {error}") from error
        self._file = address.file_id()
        super().__init__(listener, selector, self._respond_to, PACKET_SIZE, CLIENT_TIMEOUT)

    def stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._address.remove_file(self._file)
        super().stop_listening()

    def _respond_to(self, asked: bytes, _sock: socket.socket) -> Reply | None:
        if len(asked) < PACKET_SIZE:
            return None
        num = decode_signal(asked)
        if num is None:
            self._refuse("something that is no signal packet")
            return Reply(b"")
        reason = self._take(num)
        if reason is not None:
            self._refuse(f"signal {num}: {reason}")
        return Reply(encode_answer(taken=reason is None))

    def _refuse(self, what: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._said_at >= _LOG_EVERY:
            _LOG.warning("refused from outside: %s (%d since the last such line)", what, self._refused)
            self._refused, self._said_at = 0, now
