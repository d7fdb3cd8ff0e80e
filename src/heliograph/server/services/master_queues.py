"""The master's view of the queues: it sends signals, and counts what is queued and in flight."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from heliograph._core.signals.records import DONE, FETCHED, RECORD_BYTES, Record, decode, encode, unfinished
from heliograph._core.signals.targets import name_of, parse, queues, readers_of
from heliograph._core.stats.signal_rows import signal_rows, unstarted
from heliograph.ipc.pipes import has_space, pipe_bytes, queued_records
from heliograph.models import Identity, Queue
from heliograph.server.server_queues import ServerQueues

_LOG = logging.getLogger("heliograph.master")

LOADING = "the application is still loading. Send it again soon"
"""Reason to reject a signal before the first code is loaded."""


class MasterQueues:
    """Sends signals for the master, and counts what no process has taken yet."""

    def __init__(self, server: ServerQueues, is_loading: Callable[[], bool] = lambda: False) -> None:
        """`is_loading` returns True until the application is loaded for the first time."""
        self.is_loading = is_loading
        self._memory = server.memory
        self._topology = server.topology
        self._order = server.queues
        self._pipes = server.pipes
        self._counters = server.counters
        self.wakeups = server.memory.wakeups
        self.find_wakeup = server.memory.find_wakeup
        self._baseline: dict[tuple[int, int], int] = {}
        """Balance of the counters of a signal (number, number of its queues) when nothing of it was queued."""
        self._only_absent: set[int] = set()
        """Signals that are queued for workers only that have left: the next `send` adds no more there."""

    def send(self, num: int) -> bool:
        """Put a registered signal into all of its queues. Return False, and send nothing, if one of them is full.

        Also if it goes to the active workers, and none is active. If another sender fills a queue at the same moment,
        that queue is left out and counted as rejected.
        """
        where = self._queues_of(num)
        if not where:
            return self._memory.live[num] is None  # no worker is active
        if num in self._only_absent:
            self._only_absent.discard(num)
            where = tuple(queue for queue in where if not (self._is_absent(queue) and self._content(queue)))
        pipes = [(number, self._pipes[number]) for number in map(self._order.index, where)]
        if not all(has_space(write) for _, (_, write) in pipes):
            return False
        missing, now = 0, time.monotonic_ns()
        for place, (number, (_, write)) in enumerate(pipes):
            try:
                os.write(write, encode(Record(num, number, time=now)))
            except BlockingIOError:  # Others have written 256 records or more since `has_space`.
                if not place:
                    return False
                self._counters.count_rejected(time.monotonic())
                missing += 1
        if pipes:
            self._counters.sent[num] += 1
            self._counters.copies[num] += len(pipes) - missing
            self._counters.skipped[num] += missing
        return True

    def has_receivers(self, num: int) -> bool:
        """Return False if no process takes a signal now: it goes to the active workers, and none is active."""
        return self._memory.live[num] is None or bool(self._queues_of(num))

    def forget(self, num: int) -> None:
        """Forget what is known about a number whose counters begin at 0 again."""
        self._baseline = {known: balance for known, balance in self._baseline.items() if known[0] != num}
        self._only_absent.discard(num)

    def wakeup_numbers(self) -> tuple[int, ...]:
        """Return the numbers that wake processes for their tasks."""
        return self._memory.live.wakeups()

    def admit(self, *processes: Identity) -> None:
        """Include the workers among these processes in the target `workers`."""
        for process in processes:
            if process.role == "worker":
                self._memory.present[process.number - 1] = 1

    def vacate(self, worker: Identity) -> None:
        """Exclude a worker from the target `workers`, and drop and log what is queued for it."""
        self._memory.present[worker.number - 1] = 0
        dropped = Counter(self._take_own(worker))
        for num, count in dropped.items():
            self._counters.dropped[num] += count
            self._counters.vacated[num] += count
        if not dropped:
            _LOG.info("Vacated %s: its process left, and no other took its number", worker)
            return
        listed = ", ".join(f"signal {num} ({count})" for num, count in sorted(dropped.items()))
        text = "Vacated %s, dropping %d queued signals: its process left, and no other took its number. Dropped: %s"
        _LOG.warning(text, worker, dropped.total(), listed)

    def _take_own(self, worker: Identity) -> Iterator[int]:
        """Empty the queue of a worker and what its last process had in flight. Yield the numbers of the signals."""
        in_flight = self._memory.in_flight(worker)
        for offset, record in unfinished(in_flight):
            in_flight[offset] = DONE
            yield record.num
        fd, _ = self._pipes[self._order.index(Queue("worker", worker.number))]
        while queued_records(fd):
            yield decode(os.read(fd, RECORD_BYTES)).num

    def find(self, signal: str) -> list[int]:
        """Return the registered signals with that number or name, else those whose handler is `module:function`."""
        rows = self.rows() if signal else []
        exact = [row["num"] for row in rows if signal in {str(row["num"]), row["name"]}]
        handler = signal.replace(":", ".", 1)
        return exact or [row["num"] for row in rows if ":" in signal and row["handler"] == handler]

    def send_external(self, num: int, allowed: frozenset[int]) -> str | None:
        """Send an external signal. Return the reason if it is rejected, else None."""
        route = self._memory.live[num]
        if route is None:
            return LOADING if self.is_loading() else "no handler is registered for it"
        if not route.remote and num not in allowed:
            return "external processes may not send it (use --allow-remote or register_handler(remote=True))"
        if not self.send(num):
            self._counters.count_rejected(time.monotonic())
            return "its queue is full" if self._queues_of(num) else "no worker is active"
        return None

    def is_queued(self, num: int) -> bool:
        """Return True if a record of that signal has not been taken yet.

        The content of a pipe cannot be inspected, so the counters tell which signals are in it. A process that is
        killed between an action and its counter update leaves the counters off by one permanently. Therefore they are
        compared with their values at a time when nothing was queued.

        If workers come and go, a record that waits for a worker that has left does not hold back the others.
        """
        where = self._queues_of(num)
        balance = self._balance(num)
        holders = [queue for queue in where if self._content(queue)]
        if self._is_fetched(num, where):  # After the queues, since a record moves from there to an in-flight buffer.
            return True
        if holders:
            is_queued = balance > self._baseline.get((num, len(where)), 0)
            if is_queued and all(map(self._is_absent, holders)):
                self._only_absent.add(num)
                return False
            return is_queued
        if balance == self._balance(num):
            self._baseline[num, len(where)] = balance
        return False

    def _content(self, queue: Queue) -> int:
        return queued_records(self._pipes[self._order.index(queue)][0])

    def _is_absent(self, queue: Queue) -> bool:
        """Return True if this is the queue of a worker that has left, on a server whose workers come and go."""
        is_own = self._topology.is_elastic and queue.kind == "worker" and queue.number > 0
        return is_own and not self._pid(Identity("worker", queue.number))

    def is_idle(self, without: frozenset[Identity] = frozenset()) -> bool:
        """Return True if nothing is queued or in flight, except for what only the processes `without` could take."""
        pipes = [
            read
            for queue, (read, _) in zip(self._order, self._pipes, strict=True)
            if not without.issuperset(readers_of(queue, self._topology))
        ]
        return not any(map(queued_records, pipes)) and not any(self._unfinished(without))

    def queued(self) -> int:
        """Return the number of records that are in queues, or were fetched from them and not started."""
        fetched = sum(record.state == FETCHED for record in self._unfinished())
        return fetched + self.in_pipes()

    def log_lost(self) -> None:
        """Log how many signals are lost if the server ends now."""
        if lost := self.queued():
            _LOG.warning("Lost %d queued %s", lost, "signal" if lost == 1 else "signals")

    def in_pipes(self) -> int:
        """Return the number of records in queues, which no process has fetched."""
        return sum(queued_records(read) for read, _ in self._pipes)

    def details(self) -> list[dict[str, Any]]:
        """Return the queues with their content, for programs that look at the server."""
        return [
            {
                "name": name_of(queue, self._topology),
                "queued": queued_records(read),
                "capacity": pipe_bytes(write) // RECORD_BYTES,
                "readers": [process.title for process in readers_of(queue, self._topology)],
            }
            for queue, (read, write) in zip(self._order, self._pipes, strict=True)
        ]

    def rejected(self) -> int:
        """Return the number of sends that were rejected because a queue stayed full, over all processes."""
        return self._memory.counters.rejected()

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each registered signal, for the status output."""
        memory = self._memory
        return signal_rows(memory.live, memory.names, memory.counters, self._topology, self.queued())

    def _balance(self, num: int) -> int:
        """Return the number of records of a signal that were sent and not taken, according to the counters."""
        route = self._memory.live[num]
        return unstarted(self._memory.counters, num, route.target, self._topology) if route else 0

    def _is_fetched(self, num: int, where: Sequence[Queue]) -> bool:
        present = (queue for queue in where if not self._is_absent(queue))
        readers = {process for queue in present for process in readers_of(queue, self._topology)}
        return any(
            r.num == num and r.state == FETCHED
            for process in readers
            for _, r in unfinished(self._memory.in_flight(process))
        )

    def _queues_of(self, num: int) -> tuple[Queue, ...]:
        route = self._memory.live[num]
        if route is None:
            return ()
        target = parse(route.target, self._topology)
        running = tuple(
            process.number for process in self._memory.processes if process.role == "worker" and self._pid(process)
        )
        return queues(target, self._topology, running, self._memory.present_workers())

    def _pid(self, process: Identity) -> int:
        return self._memory.counters.slots[self._memory.slot_number(process)].pid

    def _unfinished(self, left_out: frozenset[Identity] = frozenset()) -> Iterator[Record]:
        for process in self._memory.processes:
            if process in left_out:
                continue
            for _, record in unfinished(self._memory.in_flight(process)):
                yield record
