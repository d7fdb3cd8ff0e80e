"""The doorbell: a datagram socket in the directory of the tasks, on which a server hears that it has tasks to run.

Processes without the server's queues ring it: a shell, cron, another container that has the directory. A datagram is a
target, or a target and the time to wake it (microseconds since 1970). With no server there, the tasks wait for one.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
from typing import NamedTuple

from heliograph.ipc.short_paths import short_path
from heliograph.ipc.store_directory import DOORBELL
from heliograph.models import MICROSECONDS

_LOG = logging.getLogger("heliograph.tasks")

_RING_TIMEOUT = 2.0
"""Seconds to wait for a server that is busy, and whose socket is full of rings."""
_MAX_BYTES = 512
_MAX_ADDRESS = 107
"""Bytes of the path of a socket."""
MAX_RINGS = 64
"""Rings that one call of `read` returns at most, so that the loop of the master goes on."""


class Ring(NamedTuple):
    """A request to wake a target, at a time in seconds since 1970. 0: now."""

    target: str
    when: float = 0.0


def ring(directory: str, target: str, when: float = 0.0) -> bool:
    """Ring at the server that has this directory. Return False if none is there, or if it does not hear it."""
    text = f"{target} {int(when * MICROSECONDS)}" if when else target
    try:
        path = f"{directory}/{DOORBELL}"
        if len(os.fsencode(path)) <= _MAX_ADDRESS:
            _send(text.encode(), path)
        else:
            with short_path(directory) as short:
                _send(text.encode(), f"{short}/{DOORBELL}")
    except TimeoutError:
        _LOG.warning("The server of %s does not read its doorbell. Tasks may run late", directory)
        return False
    except OSError:  # no directory, no socket, or a socket that nobody has open any more
        return False
    return True


def _send(data: bytes, path: str) -> None:
    try:
        _ringer().sendto(data, path)
    except BlockingIOError:
        with _new_socket() as sender:
            sender.settimeout(_RING_TIMEOUT)
            sender.sendto(data, path)


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


_ringers: list[tuple[socket.socket, int, int]] = []
"""The socket with which this process rings, its descriptor and its inode. A new one for each ring takes longer."""


def _ringer() -> socket.socket:
    for sender, fd, inode in _ringers:
        if _is_open(fd, inode):
            return sender
        sender.detach()  # the program has closed the descriptor, which may be another file now
    sender = _new_socket()
    fd = sender.fileno()
    _ringers[:] = [(sender, fd, os.fstat(fd).st_ino)]
    atexit.unregister(_close_ringer)
    atexit.register(_close_ringer)  # or else Python warns of a socket that is still open
    return sender


def _is_open(fd: int, inode: int) -> bool:
    try:
        return os.fstat(fd).st_ino == inode
    except OSError:
        return False


def _close_ringer() -> None:
    for sender, fd, inode in _ringers:
        if _is_open(fd, inode):
            sender.close()
        else:
            sender.detach()
    _ringers.clear()


class Doorbell:
    """The socket of the server that holds the lock of the directory."""

    def __init__(self, directory: str) -> None:
        """Bind the socket, with mode 0600. Raises: OSError: the directory cannot take it."""
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            os.fchmod(self._socket.fileno(), 0o600)  # the file gets the mode of the socket, less the umask
            with short_path(directory) as short:
                path = f"{short}/{DOORBELL}"
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 - that of a server that was killed
                self._socket.bind(path)
                self._inode = os.stat(path).st_ino  # noqa: PTH116
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, which is readable while there are rings."""
        return self._socket.fileno()

    def read(self) -> list[Ring]:
        """Return the rings that have arrived, at most `MAX_RINGS`. One that cannot be understood is left out."""
        rings: list[Ring] = []
        for _ in range(MAX_RINGS):
            try:
                data = self._socket.recv(_MAX_BYTES)
            except BlockingIOError:
                break
            with contextlib.suppress(ValueError):
                target, _, when = data.decode().partition(" ")
                rings.append(Ring(target, int(when or 0) / MICROSECONDS))
        return rings

    def is_reachable(self) -> bool:
        """Return True if the file of the socket is still where other programs look for it."""
        try:
            with short_path(self._directory) as short:
                return os.stat(f"{short}/{DOORBELL}").st_ino == self._inode  # noqa: PTH116
        except OSError:
            return False

    def close(self) -> None:
        """Close the socket, and remove its file unless another server has replaced it."""
        self._socket.close()
        with contextlib.suppress(OSError), short_path(self._directory) as short:
            path = f"{short}/{DOORBELL}"
            if os.stat(path).st_ino == self._inode:  # noqa: PTH116
                os.unlink(path)  # noqa: PTH108
