"""The memory that all processes of a server share: routes, accounts, hands.

Everything is laid out over one anonymous file (`memfd`), which the master makes and the others map.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from heliograph._core.accounts import SLOT_BYTES, Accounts
from heliograph._core.records import HAND_BYTES
from heliograph._core.routes import TABLE_BYTES, Routes
from heliograph.values import Identity, Topology

GUESTS = 16
"""Slots for processes that the master did not start; what more of them than that send is not counted."""


class Memory:
    """Maps a server's memory. `live` is the table that senders use, `staged` the one that is being loaded."""

    def __init__(self, fd: int, topology: Topology) -> None:
        self.fd = fd
        self.processes = topology.processes()
        self._order = {who: number for number, who in enumerate((*self.processes, Identity("master")))}
        self._first_guest = len(self._order)
        slots = self._first_guest + GUESTS
        view = memoryview(mmap.mmap(fd, self.size(topology)))
        self.live = Routes(view)
        self.staged = Routes(view[TABLE_BYTES:])
        self.accounts = Accounts(view[2 * TABLE_BYTES :], slots)
        hands = view[2 * TABLE_BYTES + slots * SLOT_BYTES :]
        self._hands = [hands[i * HAND_BYTES : (i + 1) * HAND_BYTES] for i in range(self._first_guest)]

    @classmethod
    def create(cls, topology: Topology) -> Memory:
        """New memory, all zero."""
        fd = os.memfd_create("heliograph", os.MFD_CLOEXEC)
        os.ftruncate(fd, cls.size(topology))
        return cls(fd, topology)

    @staticmethod
    def size(topology: Topology) -> int:
        """Bytes that a server of this topology needs."""
        processes = len(topology.processes()) + 1
        return 2 * TABLE_BYTES + (processes + GUESTS) * SLOT_BYTES + processes * HAND_BYTES

    def slot_number(self, who: Identity) -> int:
        """Which slot is that process's."""
        return self._order[who]

    def hand(self, who: Identity) -> memoryview:
        """The records that a process has taken and not done."""
        return self._hands[self._order[who]]

    def claim_guest_slot(self) -> int | None:
        """A slot for a process that only sends; free again when it ends, however it does.

        The claim is a lock of the kernel's on one byte of the file; None if all are taken.
        """
        for number in range(self._first_guest, self._first_guest + GUESTS):
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                continue
            return number
        return None
