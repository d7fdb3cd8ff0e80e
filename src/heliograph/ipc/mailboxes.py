"""Sockets in the directory of the tasks, at which readers of messages wait.

Each reader has a datagram socket for each of its targets. A sender rings at all sockets of its target after it has
stored a message, and the readers look into the store. A ring carries no data.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

from heliograph.ipc.short_paths import short_path

_PREFIX = "mail"


class Mailbox:
    """The socket of this thread for a target."""

    def __init__(self, directory: str, target: str) -> None:
        """Bind the socket. Raises: OSError: the directory cannot take it."""
        self._path = Path(directory, f"{_start(target)}{os.getpid()}-{threading.get_native_id()}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._path.unlink(missing_ok=True)  # of a killed process that had the same number
        with short_path(directory) as short:
            self.socket.bind(f"{short}/{self._path.name}")
        self.close = weakref.finalize(self, _remove, self.socket, self._path, os.getpid())
        """Remove the socket. The end of the thread and of the process do so too."""

    def clear(self) -> None:
        """Forget the rings so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(1)


def wait_for_ring(mailboxes: Sequence[Mailbox], timeout: float | None) -> None:
    """Wait until a sender rings at one of the mailboxes, or the time is over."""
    poll = select.poll()
    for mailbox in mailboxes:
        poll.register(mailbox.socket, select.POLLIN)
    poll.poll(None if timeout is None else timeout * 1000)
    for mailbox in mailboxes:
        mailbox.clear()


def ring_readers(directory: str, target: str) -> None:
    """Ring at all mailboxes of a target. The socket of a reader that was killed is removed."""
    found = [path for path in Path(directory).iterdir() if path.name.startswith(_start(target))]
    if not found:
        return
    with (
        short_path(directory) as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
    ):
        for path in found:
            try:
                sender.sendto(b".", f"{short}/{path.name}")
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    path.unlink()
            except OSError:  # it has been rung often enough, or has gone
                continue


def _remove(sock: socket.socket, path: Path, pid: int) -> None:
    sock.close()
    if os.getpid() == pid:  # else this is a forked process, and the socket belongs to its parent
        with contextlib.suppress(OSError):
            path.unlink()


def _start(target: str) -> str:
    return f"{_PREFIX}-{target}-"
