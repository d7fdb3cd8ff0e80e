"""Where uWSGI keeps its signals: the kernel's own word on how full each queue is.

How it works
    uWSGI moves a signal as one byte through two socket pairs: sender -> master (one pair for all workers, one for
    all mules, one for all spoolers: the *entries*) and master -> receiver (one pair a queue). It drops the byte,
    and says nothing, where a socket's buffer is full. The kernel knows how much lies in each: FIONREAD on a
    reader's end counts the bytes waiting there, SIOCOUTQ on a sender's end the memory of what was not yet read.

    uWSGI opens the pairs before it loads the application, in a fixed order (`core/uwsgi.c` `uwsgi_start`,
    `core/mule.c` `uwsgi_setup_mules_and_farms`): workers 1..N, the mules' entry, mules 1..M, farms, the spoolers'
    entry. While the application is loaded we keep a second descriptor of every reader's end; all processes
    inherit it, so any of them can ask about any queue. Only reader's ends are kept: the end of the master still
    shows as end-of-file. The workers' entry, opened last, is found after the fork.

    Where the order does not hold (a socket of somebody else came first), a process finds that its own queue is
    not where it should be; then `coarse` is set for the whole server, and every queue counts as being as full as
    all of them together: slower under load, still safe.
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
"""What the kernel's answer is put in place of: each call gets a copy, so threads can ask side by side."""

Pair = tuple[int, int]
"""File descriptors of the master's and of the reader's end."""


def stream_sockets() -> list[int]:
    """Descriptors of this process's anonymous unix stream sockets, ascending."""
    try:
        numbers = sorted(int(entry.name) for entry in os.scandir("/proc/self/fd"))
    except OSError:
        return []
    return [fd for fd in numbers if _is_anonymous_stream(fd)]


def waiting_bytes(fd: int) -> int:
    """Bytes that wait to be read from a socket (FIONREAD); one is a signal."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, _INT), sys.byteorder)


def unread_memory(fd: int) -> int:
    """Kernel memory, in bytes, of what was written to a socket and not yet read (SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, _INT), sys.byteorder)


def memory_per_signal() -> int:
    """Kernel memory that one signal takes in a socket's buffer, in bytes: measured, not assumed."""
    left, right = socket.socketpair()
    with left, right:
        left.send(b"\0")
        return max(1, unread_memory(left.fileno()))


def socket_capacity(fd: int, per_signal: int) -> int:
    """How many signals fit into the socket's buffer before uWSGI drops one."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        return max(1, sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // per_signal)


def pair_order(topology: Topology) -> list[Queue]:
    """The queues in the order in which uWSGI opens their pairs; the workers' pool comes after the load."""
    order = [Queue("worker", n) for n in range(1, topology.workers + 1)]
    if topology.mules:
        order += [Queue("mule", n) for n in range(topology.mules + 1)]
    order += [Queue("farm", n) for n in range(1, len(topology.farms) + 1)]
    if topology.spoolers:
        order.append(Queue("spooler", 0))
    return order


class QueueSockets:
    """The reader's ends of all queues, kept while the application is loaded; inherited by every process."""

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
        """Whether the process, just forked, still has exactly the ends that it should have.

        uWSGI closes in each process the queues of the others (`core/master_utils.c` `uwsgi_fixup_fds`).
        """
        mine = queues_read_by(process, self._topology)
        for queue, (master_end, reader_end) in self._pairs.items():
            owned = queue.kind == "worker" or (queue.kind == "mule" and queue.number)
            if owned and (self._is_open(master_end) or self._is_open(reader_end) != (queue in mine)):
                return False
        return self.complete

    def opened_since(self) -> list[int]:
        """Anonymous stream sockets of this process that were not there while the application was loaded."""
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
