"""Capacity: the number of signals that a queue still takes. The rule that keeps uWSGI from dropping signals.

A process may send while the signals in the receiver's queue, plus those that the master has not yet passed on, stay
below `limit`. Asking the kernel costs about a microsecond, so a process that found space may send a `burst` to that
queue before it asks again. All processes may do so at the same time, and other code or another server may send signals
without flow control. `limit` leaves space for all of them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from heliograph._core.signals.targets import all_queues
from heliograph.engines.uwsgi import sockets
from heliograph.engines.uwsgi.sockets import queued_signals, unread_memory, waiting_bytes
from heliograph.models import Identity, Queue, Topology

_WORKERS = Queue("worker", 0)
_ENTRIES = (_WORKERS, Queue("mule", 0), Queue("spooler", 0))
"""The sockets of the shared queues also carry signals from the senders to the master."""


class QueueCapacity:
    """Knows, in every process of a server, the number of signals that a queue still takes.

    `degraded` is one byte of shared memory. A process sets it if it finds the sockets in an unexpected order.
    """

    def __init__(self, topology: Topology, degraded: memoryview, *, lazy: bool) -> None:
        processes = topology.workers + topology.mules + topology.spoolers + 1
        self._topology = topology
        self._degraded = degraded
        self._per_signal = sockets.memory_per_signal()
        self._handover: tuple[socket.socket, socket.socket] | None = None
        self._sockets: sockets.QueueSockets | None = None
        if lazy:
            visible = tuple(sockets.stream_sockets())
            self._readers: dict[Queue, tuple[int, ...]] = dict.fromkeys(all_queues(topology), visible)
        else:
            self._sockets = sockets.QueueSockets(topology)
            self._readers = {queue: (fd,) for queue, fd in self._sockets.readers.items()}
            left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            left.setblocking(False)
            right.setblocking(False)
            self._handover = (left, right)
        self._entry_fds: tuple[int, ...] = ()
        some = next(iter(self._readers.values()), ())
        size = sockets.socket_capacity(some[0], self._per_signal) if some else 1
        self.burst = max(1, size // (4 * processes))
        self.limit = max(1, size * 5 // 6 - self.burst * processes)

    def after_fork(self, process: Identity) -> None:
        """Find the socket of the workers' shared queue, and check the other sockets, in a forked process."""
        if self._sockets is None:
            return
        if not self._sockets.confirmed_by(process):
            self._degraded[0] = 1
        found = self._sockets.opened_since()
        if not found:
            return
        self._readers[_WORKERS] = tuple(found)
        self._entry_fds = ()
        if process == Identity("worker", 1) and self._handover is not None:
            for _ in range(self._topology.spoolers):
                _give(self._handover[0], found[0])

    def available(self, queues: Iterable[Queue]) -> int:
        """Return the number of signals that each of these queues still takes. 0 or less means none.

        Raises:
            BlockingIOError: No worker has started, so the socket of their shared queue is not known yet.
        """
        if _WORKERS not in self._readers:
            self._readers[_WORKERS] = (self._receive_entry(),)
        in_transit = 0
        for fd in self._entries():
            in_transit += unread_memory(fd)
        if self._degraded[0]:
            fullest = sum(map(waiting_bytes, {fd for fds in self._readers.values() for fd in fds}))
        else:
            fullest = 0
            for queue in queues:
                waiting = 0
                for fd in self._readers[queue]:
                    waiting += waiting_bytes(fd)
                fullest = max(fullest, waiting)
        return self.limit - fullest - in_transit // self._per_signal

    def is_queued(self, num: int, queues: Iterable[Queue]) -> bool:
        """Return True if one of these queues has a signal of that number.

        Return False if it is not known which sockets the queues have.
        """
        if self._sockets is None or self._degraded[0]:
            return False
        return any(num in queued_signals(fd) for queue in queues for fd in self._readers.get(queue, ()))

    def _entries(self) -> tuple[int, ...]:
        if not self._entry_fds:
            self._entry_fds = tuple(fd for entry in _ENTRIES for fd in self._readers.get(entry, ()))
        return self._entry_fds

    def _receive_entry(self) -> int:
        """Receive the socket from worker 1. uWSGI forks the first spoolers before it opens the socket."""
        if self._handover is None:
            raise BlockingIOError("no worker has started")
        _, fds, _, _ = socket.recv_fds(self._handover[1], 1, 1)
        return fds[0]


def _give(channel: socket.socket, fd: int) -> None:
    try:
        socket.send_fds(channel, [b"\0"], [fd])
    except BlockingIOError:
        pass  # the spoolers have not yet received earlier copies
    except OSError as error:
        raise RuntimeError(f"process {os.getpid()} cannot pass the workers' signal socket to the spoolers") from error
