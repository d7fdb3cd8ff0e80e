"""Names of signals that no process has any more, because reloads have changed the code. Their numbers become free."""

from __future__ import annotations

import logging
from collections.abc import Callable

from heliograph._core.signals.records import unfinished
from heliograph._core.supervision.events import Event, Exited, ProcessReady, ReloadRequested
from heliograph._core.supervision.state import ServerState
from heliograph.ipc.pipes import queued_records
from heliograph.models import SIGNALS
from heliograph.server.server_queues import ServerQueues

_LOG = logging.getLogger("heliograph.master")

KEPT = 32
"""Unused names that keep their numbers. Code that comes back after a reload finds the same ones."""


class UnusedNames:
    """Frees the numbers of names when no process runs code that has them, and no queue may hold a signal of them."""

    def __init__(self, server: ServerQueues, state: ServerState, on_free: Callable[[int], None]) -> None:
        """`on_free` gets each number that becomes free."""
        self._memory = server.memory
        self._pipes = [read for read, _ in server.pipes]
        self._state = state
        self._on_free = on_free
        self._unseen: dict[int, set[int]] = {}
        """For each number of an unused name, the queues that may hold it: they have not been empty since."""

    def observe(self, event: Event) -> None:
        """Look for such names when processes have changed, and before a reload, which may need numbers."""
        if isinstance(event, (Exited, ProcessReady, ReloadRequested)):
            self.free()

    def free(self) -> None:
        """Free the names that are unused now, if there are many of them."""
        if self._memory.has_uncounted():
            return
        running = self._memory.running_generations() | self._state.forkable_generations
        unused = [num for num in range(SIGNALS) if self._memory.is_name_unused(num, running)]
        self._unseen = {num: self._unseen.get(num, set(self._pipes)) for num in unused}
        if len(unused) <= KEPT:
            return
        self._look_at_queues()
        for num in unused:
            name = self._memory.names[num]
            if not self._unseen[num] and self._memory.free_name(num, running):
                self._on_free(num)
                _LOG.debug("Freed signal %d: no process has the name %r any more", num, name)

    def _look_at_queues(self) -> None:
        empty = {read for read in self._pipes if not queued_records(read)}
        # After the queues, since a record moves from there to a buffer. The master may put it back if a process dies.
        buffers = map(self._memory.in_flight, self._memory.processes)
        in_flight = {record.num for buffer in buffers for _, record in unfinished(buffer)}
        for num, unseen in self._unseen.items():
            if num in in_flight:
                unseen.update(self._pipes)
            else:
                unseen.difference_update(empty)
