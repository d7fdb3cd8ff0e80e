"""Queues: kernel pipes of fixed-size records. Writes of a record are atomic, many processes can read one pipe.

The master makes them and keeps both ends open, so what waits there outlives every process that reads it.
"""

from __future__ import annotations

import fcntl
import os
import select
import termios

from heliograph._core.signals.records import RECORD_BYTES
from heliograph._core.signals.targets import all_queues
from heliograph.models import Queue, Topology

MAX_PIPE_BYTES = 1 << 20
"""Bytes; what an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`): 65,536 records."""
MIN_PIPE_BYTES = 1 << 14
TOTAL_PIPE_BYTES = 32 << 20
"""Bytes that all pipes of a server may take: half of the 16,384 pages that the kernel gives an unprivileged user."""


def server_queues(topology: Topology) -> tuple[Queue, ...]:
    """All queues of a server, in the order in which they are made; each spooler has one of its own too."""
    own = tuple(Queue("spooler", number) for number in range(1, topology.spoolers + 1))
    return (*all_queues(topology), *own)


def make_pipes(topology: Topology) -> tuple[tuple[int, int], ...]:
    """A pipe for each queue: descriptors to read and to write, neither blocking."""
    queues = server_queues(topology)
    size = max(MIN_PIPE_BYTES, min(MAX_PIPE_BYTES, TOTAL_PIPE_BYTES // max(1, len(queues))))
    return tuple(_make_pipe(size) for _ in queues)


def queued_records(fd: int) -> int:
    """How many records wait in a pipe."""
    answer = bytearray(4)
    fcntl.ioctl(fd, termios.FIONREAD, answer)
    return int.from_bytes(answer, "little") // RECORD_BYTES


def has_room(fd: int) -> bool:
    """Whether a pipe takes another record now."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def _make_pipe(size: int) -> tuple[int, int]:
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    while size >= MIN_PIPE_BYTES:
        try:
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, size)
        except PermissionError:  # this user's pages are used up: take what there is
            size //= 2
        else:
            break
    return read, write
