"""Signals from outside: the uwsgi protocol's signal packet, taken by the master (D8).

Only numbers that were allowed are taken; everything else is answered 00 and logged, at a bounded rate.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

from heliograph._core.signals.packet import PACKET_SIZE, decode_signal, encode_answer
from heliograph.exceptions import ConfigError
from heliograph.ipc.request_server import Reply, RequestServer

_LOG = logging.getLogger("heliograph.master")

CLIENT_TIMEOUT = 5.0
"""Seconds that a client may take for its four bytes."""
_LOG_EVERY = 1.0
"""Seconds between two log lines about what was refused."""

SendExternal = Callable[[int], str | None]
"""Raise a signal; answers why not, or None when it was taken."""


class UwsgiListener(RequestServer):
    """Takes signals at an address, for the master."""

    def __init__(self, address: str, selector: selectors.BaseSelector, take: SendExternal) -> None:
        """`address` is `HOST:PORT` or the path of a unix socket. Raises `ConfigError` if it cannot listen there."""
        self._take = take
        self._refused = 0
        self._said_at = float("-inf")
        self._path = Path(address) if "/" in address or ":" not in address else None
        try:
            listener = _listen(address)
        except OSError as error:
            raise ConfigError(f"cannot listen at {address}: {error.strerror or error}") from error
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"cannot listen at {address}: {error}; use HOST:PORT or a path") from error
        super().__init__(listener, selector, self._respond_to, PACKET_SIZE, CLIENT_TIMEOUT)

    def close(self) -> None:
        super().close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

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


def _listen(address: str) -> socket.socket:
    if "/" in address or ":" not in address:
        return _listen_at_path(Path(address))
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=128)


def _listen_at_path(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()  # that nobody listens there was checked before
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(os.fspath(path))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
