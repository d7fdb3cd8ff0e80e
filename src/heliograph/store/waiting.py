"""Waiting for the end of a task, without polling: a datagram for each process that waits.

The address is a row beside the task, written under the gate. Each transaction that finishes the task reads the rows,
and sends the datagrams after its commit.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from heliograph.ipc.short_paths import short_path
from heliograph.ipc.store_directory import WAITERS


def find_waiters(writer: sqlite3.Connection, ended: Sequence[int]) -> list[str]:
    """Return the addresses of those that wait for these tasks. They remove their rows themselves."""
    addresses: list[str] = []
    for number in ended:
        rows = writer.execute("SELECT address FROM waiter WHERE number = ?", (number,)).fetchall()
        addresses += [address for (address,) in rows]
    return addresses


def forgotten_waiters(writer: sqlite3.Connection) -> list[int]:
    """Return the finished tasks that somebody waits for: the process that finished them was killed before it told."""
    sql = "SELECT DISTINCT number FROM waiter JOIN task USING (number) WHERE state > 2"
    return [number for (number,) in writer.execute(sql).fetchall()]


def tell(directory: str, addresses: Sequence[str]) -> list[str]:
    """Send a datagram to each address. Return those of processes that are gone."""
    gone: list[str] = []
    with _directory(directory) as path, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for address in addresses:
            try:
                sender.sendto(b"!", f"{path}/{address}")
            except BlockingIOError:
                pass  # It has been told already.
            except OSError:
                gone.append(address)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}/{address}")
    return gone


def remove_waiters(writer: sqlite3.Connection, addresses: Sequence[str]) -> bool:
    """Remove those that wait no longer. Return True if others are left."""
    writer.executemany("DELETE FROM waiter WHERE address = ?", [(address,) for address in addresses])
    return bool(writer.execute("SELECT 1 FROM waiter LIMIT 1").fetchall())


class Waiter:
    """A socket on which this process hears of ends."""

    def __init__(self, directory: str) -> None:
        self.address = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with _directory(directory) as path:
                self._socket.bind(f"{path}/{self.address}")
        except BaseException:
            self._socket.close()
            raise

    def wait(self, is_over: Callable[[], bool], timeout: float | None) -> None:
        """Return when `is_over` says so, or after the timeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not is_over():
            left = None if deadline is None else (deadline - time.monotonic()) * 1000
            if left is not None and left <= 0:
                return
            if poll.poll(left):
                self._socket.recv(16)

    def close(self) -> None:
        """Close the socket, and remove its file."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._directory, WAITERS, self.address))


@contextmanager
def _directory(directory: str) -> Generator[str]:
    """Make the directory of the sockets if it is missing, and yield a short path of it."""
    path = os.path.join(directory, WAITERS)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    with short_path(path) as short:
        yield short
