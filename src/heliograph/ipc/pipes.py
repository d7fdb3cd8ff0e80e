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


def server_queues(topology: Topology) -> tuple[Queue, ...]:
    """Return all queues of a server, in the order of its pipes. Each spooler has a queue of its own, too."""
    own = tuple(Queue("spooler", number) for number in range(1, topology.spoolers + 1))
    return (*all_queues(topology), *own)


def make_pipes(topology: Topology) -> tuple[tuple[int, int], ...]:
    """Make a pipe for each queue, and return their non-blocking descriptors to read and to write.

    Raises:
        OSError: if not all of them can be made. Then none is left open.
    """
    queues = server_queues(topology)
    size = max(MIN_PIPE_BYTES, min(MAX_PIPE_BYTES, TOTAL_PIPE_BYTES // max(1, len(queues))))
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
