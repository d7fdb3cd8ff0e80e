"""The memory that all processes of a server share: routes, accounts, hands, names.

Everything is laid out over one anonymous file (`memfd`), which the master makes and the others map.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

from heliograph._core.signals.names import NAMES_BYTES, NameTable, first_candidate
from heliograph._core.signals.records import IN_FLIGHT_BYTES
from heliograph._core.signals.routes import TABLE_BYTES, Routes
from heliograph._core.stats.counters import SLOT_BYTES, Counters
from heliograph.models import Identity, Topology

MAX_SENDER_ONLY = 16
"""Slots for processes that the master did not start; what more of them than that send is not counted."""


class SharedMemory:
    """Maps a server's memory. `live` is the table that senders use, `staged` the one that is being loaded."""

    def __init__(self, fd: int, topology: Topology, *, read_only: bool = False) -> None:
        self.fd = fd
        self.processes = topology.processes()
        self._order = {process: number for number, process in enumerate((*self.processes, Identity("master")))}
        self._first_sender_only = len(self._order)
        slots = self._first_sender_only + MAX_SENDER_ONLY
        view = memoryview(
            mmap.mmap(fd, self.size(topology), access=mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE)
        )
        self.live = Routes(view)
        self.staged = Routes(view[TABLE_BYTES:])
        self.counters = Counters(view[2 * TABLE_BYTES :], slots)
        hands = view[2 * TABLE_BYTES + slots * SLOT_BYTES :]
        self._in_flight = [
            hands[i * IN_FLIGHT_BYTES : (i + 1) * IN_FLIGHT_BYTES] for i in range(self._first_sender_only)
        ]
        self.names = NameTable(view[-NAMES_BYTES:])

    @classmethod
    def create(cls, topology: Topology) -> SharedMemory:
        """New memory, all zero."""
        fd = os.memfd_create("heliograph", os.MFD_CLOEXEC)
        os.ftruncate(fd, cls.size(topology))
        return cls(fd, topology)

    @staticmethod
    def size(topology: Topology) -> int:
        """Bytes that a server of this topology needs."""
        processes = len(topology.processes()) + 1
        return 2 * TABLE_BYTES + (processes + MAX_SENDER_ONLY) * SLOT_BYTES + processes * IN_FLIGHT_BYTES + NAMES_BYTES

    def slot_number(self, process: Identity) -> int:
        """Which slot is that process's."""
        return self._order[process]

    def in_flight(self, process: Identity) -> memoryview:
        """The records that a process has taken and not done."""
        return self._in_flight[self._order[process]]

    def claim_sender_only_slot(self) -> int | None:
        """A slot for a process that only sends; free again when it ends, however it does.

        The claim is a lock of the kernel's on one byte of the file; None if all are taken.
        """
        for number in range(self._first_sender_only, self._first_sender_only + MAX_SENDER_ONLY):
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                continue
            return number
        return None

    def free_sender_only_slot(self) -> None:
        """Give up what this process has claimed: it has a slot of its own now."""
        fcntl.lockf(self.fd, fcntl.LOCK_UN, MAX_SENDER_ONLY, self._first_sender_only)

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        """The number that has the name; a new name gets its first candidate that is `free`, and that nothing here has.

        It keeps it as long as the server lives. Raises `NoSignalAvailable`.
        """
        with self._name_lock():
            num = self.names.find(name)
            if num is None:
                num = first_candidate(name, lambda num: free(num) and not self._has(num))
                self.names[num] = name
            return num

    def _has(self, num: int) -> bool:
        return bool(self.names[num]) or self.live[num] is not None or self.staged[num] is not None

    @contextmanager
    def _name_lock(self) -> Generator[None]:
        """Keep other processes from naming meanwhile."""
        # Two that name at the same moment would find the same number free. This kind of lock is a process's own, not
        # the descriptor's, which all of them have inherited; and the kernel takes it back from one that is killed.
        byte = self._first_sender_only + MAX_SENDER_ONLY  # the bytes before are those of guests
        fcntl.lockf(self.fd, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, byte)
