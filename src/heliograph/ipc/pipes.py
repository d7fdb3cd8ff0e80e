"""Queues as kernel pipes of fixed-size records. A write of a record is atomic, and many processes can read one pipe.

The master makes the pipes and keeps both ends open, so a queued record outlives the processes that read the pipe.
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
"""Bytes that an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`): space for 65,536 records."""
MIN_PIPE_BYTES = 1 << 14
"""Bytes of a pipe in a server with very many queues."""
TOTAL_PIPE_BYTES = 32 << 20
"""Bytes for all pipes of a server: half of the 16,384 pages that the kernel gives an unprivileged user."""
PAGES_LIMIT = "/proc/sys/fs/pipe-user-pages-soft"
"""File with the number of these pages."""


def server_queues(topology: Topology) -> tuple[Queue, ...]:
    """Return all queues of a server, in the order of its pipes. Each spooler has a queue of its own, too."""
    own = tuple(Queue("spooler", number) for number in range(1, topology.spoolers + 1))
    return (*all_queues(topology), *own)


def intended_pipe_bytes(topology: Topology) -> int:
    """Return the size of each pipe of a server, unless the pages for pipes of its user are used up."""
    return max(MIN_PIPE_BYTES, min(MAX_PIPE_BYTES, TOTAL_PIPE_BYTES // max(1, len(server_queues(topology)))))


def pipe_bytes(fd: int) -> int:
    """Return the size of a pipe."""
    return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)


def make_pipes(topology: Topology) -> tuple[tuple[int, int], ...]:
    """Make a pipe for each queue, and return their non-blocking descriptors to read and to write.

    They are smaller than intended if the pages for pipes of this user are used up.

    Raises:
        OSError: if not all of them can be made. Then none is left open.
    """
    queues, size = server_queues(topology), intended_pipe_bytes(topology)
    pipes: list[tuple[int, int]] = []
    try:
        pipes.extend(_make_pipe(size) for _ in queues)
    except BaseException:
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)
        raise
    return tuple(pipes)


def queued_records(fd: int) -> int:
    """Return the number of records in a pipe."""
    answer = bytearray(4)
    fcntl.ioctl(fd, termios.FIONREAD, answer)
    return int.from_bytes(answer, "little") // RECORD_BYTES


def has_space(fd: int) -> bool:
    """Return True if a pipe takes another record now."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def _make_pipe(size: int) -> tuple[int, int]:
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    while size >= MIN_PIPE_BYTES:
        try:
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, size)
        except PermissionError:  # the pages of this user are used up, so a smaller pipe must do
            size //= 2
        else:
            break
    return read, write
