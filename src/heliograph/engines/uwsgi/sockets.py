"""The sockets that hold signals of uWSGI, and how full they are.

How it works
    uWSGI moves a signal as one byte through two socket pairs: sender -> master (one pair each for all workers, all
    mules and all spoolers, the *shared* pairs) and master -> receiver (one pair for each queue). If the buffer of a
    socket is full, uWSGI drops the byte silently. The kernel knows how much each socket holds: FIONREAD on the
    reader's end counts the queued bytes, SIOCOUTQ on the sender's end the memory that was not yet read.

    uWSGI opens the pairs before it loads the application, in a fixed order (`core/uwsgi.c` `uwsgi_start`,
    `core/mule.c` `uwsgi_setup_mules_and_farms`): workers 1..N, the shared pair of the mules, mules 1..M, farms, the
    shared pair of the spoolers. While the server loads the application, this module duplicates the descriptor of every
    reader's end. All processes inherit it, so each can ask about every queue. It keeps only reader's ends, so readers
    still see end-of-file when the master exits. uWSGI opens the shared pair of the workers last. It is found after the
    fork.

    If the order differs (other code opened a socket first), a process finds that its own queue is not in the expected
    place. It then sets `degraded` for the whole server, and each queue counts as being as full as all queues together.
    That is slower under load, but safe.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import sys
import termios

from heliograph._core.signals.targets import queues_read_by
from heliograph.models import Identity, Queue, Topology

_INT = bytes(4)
"""Buffer for the answer of the kernel. Each call gets a copy, so threads do not share it."""

_MAX_QUEUED = 1 << 16
"""Signals that are looked at in a queue. The usual buffer of a socket holds 278."""

Pair = tuple[int, int]
"""File descriptors of the master's end and of the reader's end."""


def stream_sockets() -> list[int]:
    """Return the descriptors of the anonymous unix stream sockets of this process, in ascending order."""
    try:
        numbers = sorted(int(entry.name) for entry in os.scandir("/proc/self/fd"))
    except OSError:
        return []
    return [fd for fd in numbers if _is_anonymous_stream(fd)]


def waiting_bytes(fd: int) -> int:
    """Return the number of queued bytes of a socket (FIONREAD). One byte is one signal."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, _INT), sys.byteorder)


def queued_signals(fd: int) -> bytes:
    """Return the numbers of the signals in a queue, which keeps them. One byte is one signal."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            return sock.recv(_MAX_QUEUED, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


def unread_memory(fd: int) -> int:
    """Return the kernel memory, in bytes, of data that was written to a socket and not yet read (SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, _INT), sys.byteorder)


def memory_per_signal() -> int:
    """Measure the kernel memory, in bytes, that one signal takes in the buffer of a socket."""
    left, right = socket.socketpair()
    with left, right:
        left.send(b"\0")
        return max(1, unread_memory(left.fileno()))


def socket_capacity(fd: int, per_signal: int) -> int:
    """Return how many signals fit into the buffer of a socket before uWSGI drops one."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        return max(1, sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // per_signal)


def pair_order(topology: Topology) -> list[Queue]:
    """Return the queues in the order in which uWSGI opens their pairs, before it loads the application."""
    order = [Queue("worker", n) for n in range(1, topology.workers + 1)]
    if topology.mules:
        order += [Queue("mule", n) for n in range(topology.mules + 1)]
    order += [Queue("farm", n) for n in range(1, len(topology.farms) + 1)]
    if topology.spoolers:
        order.append(Queue("spooler", 0))
    return order


class QueueSockets:
    """The reader's ends of all queues, duplicated during the load of the application. All processes inherit them."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        found = stream_sockets()
        order = pair_order(topology)
        pairs = list(zip(found[::2], found[1::2], strict=False))
        self.known = frozenset(os.fstat(fd).st_ino for fd in found)
        self.complete = len(pairs) >= len(order)
        self._pairs: dict[Queue, Pair] = dict(zip(order, pairs, strict=False))
        self._inodes = {fd: _inode(fd) for pair in self._pairs.values() for fd in pair}
        self.readers = {queue: os.dup(pair[1]) for queue, pair in self._pairs.items()}

    def confirmed_by(self, process: Identity) -> bool:
        """Return True if a forked process still has exactly the expected ends.

        uWSGI closes the queues of the other processes in each process (`core/master_utils.c` `uwsgi_fixup_fds`).
        """
        mine = queues_read_by(process, self._topology)
        for queue, (master_end, reader_end) in self._pairs.items():
            owned = queue.kind == "worker" or (queue.kind == "mule" and queue.number)
            if owned and (self._is_open(master_end) or self._is_open(reader_end) != (queue in mine)):
                return False
        return self.complete

    def opened_since(self) -> list[int]:
        """Return the anonymous stream sockets that this process opened after the load of the application."""
        kept = set(self.readers.values())
        return [fd for fd in stream_sockets() if fd not in kept and _inode(fd) not in self.known]

    def _is_open(self, fd: int) -> bool:
        return _inode(fd) == self._inodes[fd]


def _is_anonymous_stream(fd: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        with socket.socket(fileno=os.dup(fd)) as sock:
            return (
                sock.family == socket.AF_UNIX
                and sock.type == socket.SOCK_STREAM
                and not sock.getsockname()
                and not sock.getpeername()
            )
    except OSError:
        return False


def _inode(fd: int) -> int | None:
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return None
