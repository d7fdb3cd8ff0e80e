"""The memory that all processes of a server share: routes, counters, in-flight buffers and names.

The master makes it as an anonymous file (`memfd`), and the other processes map it. `_core.layout` says which segment
is where.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import Self

from heliograph._core.layout import MAX_SENDER_ONLY, Layout
from heliograph._core.signals.names import NameTable, first_candidate
from heliograph._core.signals.records import IN_FLIGHT_BYTES, IN_FLIGHT_SLOT_BYTES
from heliograph._core.signals.routes import Routes
from heliograph._core.signals.running import RunningSignal, running_signals
from heliograph._core.signals.wakeups import WAKEUP_NAME, WakeupWords, highest_free
from heliograph._core.stats.activity import ACTIVITY_BYTES, Activity
from heliograph._core.stats.counters import Counters
from heliograph._core.stats.durations import Durations, DurationTotals, ProcessDurations
from heliograph.exceptions import ConfigError
from heliograph.models import SIGNALS, Identity, Topology


class SharedMemory:
    """A server's memory, mapped. `live` is the table of routes that senders use, `staged` the one being loaded."""

    def __init__(self, fd: int, topology: Topology, *, read_only: bool = False) -> None:
        """Map existing memory.

        Raises:
            IncompatibleServer: if the code that made the memory has another layout than this code.
        """
        layout = Layout.of(topology)
        layout.check(os.pread(fd, layout.header_bytes, 0), os.fstat(fd).st_size)
        self.fd = fd
        self.processes = topology.processes()
        self._is_elastic = topology.is_elastic
        self._order = {process: number for number, process in enumerate((*self.processes, Identity("master")))}
        self._first_sender_only = len(self._order)
        self._lock_offset = layout["locks"].offset
        view = _map(fd, layout.size, read_only=read_only)

        def part(name: str) -> memoryview:
            segment = layout[name]
            return view[segment.offset : segment.end]

        self.live = Routes(part("routes.live"))
        self.staged = Routes(part("routes.staged"))
        self._claimed = part("sender_only").cast("Q")
        self.counters = Counters(part("counters"), self._first_sender_only, part("sender_only"))
        self._durations = Durations(part("durations"), len(self.processes))
        self._activity = part("activity")
        self.wakeups = WakeupWords(part("wakeups"))
        self.names = NameTable(part("names"))
        self._name_generations = part("name_generations").cast("Q")
        self.present = part("present")
        """A byte for each worker, 1 if `workers` includes it. Only the master writes it."""
        buffers = part("in_flight")
        starts = [i * IN_FLIGHT_SLOT_BYTES for i in range(self._first_sender_only)]
        self._in_flight = [buffers[start : start + IN_FLIGHT_BYTES] for start in starts]
        ends = [start + IN_FLIGHT_BYTES for start in starts]
        self._batches = [buffers[end : end + 8].cast("Q") for end in ends]
        flags = part("parked")
        self._parked = [flags[i * SIGNALS : (i + 1) * SIGNALS] for i in range(self._first_sender_only)]

    @classmethod
    def create(cls, topology: Topology) -> Self:
        """Make new memory: the header, and zeros. Raises: ConfigError: the kernel refuses it."""
        layout = Layout.of(topology)
        try:
            fd = os.memfd_create("heliograph", os.MFD_CLOEXEC)
        except OSError as error:
            reason = f"cannot create the shared memory of the server: {error.strerror}. Allow the call memfd_create."
            raise ConfigError(reason) from error
        try:
            os.ftruncate(fd, layout.size)
            os.pwrite(fd, layout.header(), 0)
            return cls(fd, topology)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def open_read_only(cls, fd: int, topology: Topology) -> Self:
        """Map memory for reading only: every attempt to write to it raises `TypeError`.

        The descriptor may be one that `read_only_descriptor` made.

        Raises:
            IncompatibleServer: if the code that made the memory has another layout than this code.
        """
        return cls(fd, topology, read_only=True)

    def read_only_descriptor(self) -> int:
        """Open the memory once more, for reading only. The caller passes the descriptor on, and closes it.

        A process that holds a sender-only slot must not close it: the kernel would release the slot's lock.
        """
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def slot_number(self, process: Identity) -> int:
        """Return the index of a process's slot in `counters.slots`."""
        return self._order[process]

    def present_workers(self) -> list[int] | None:
        """Return the numbers of the workers that `workers` includes now. None: all of them, always."""
        if not self._is_elastic:
            return None
        return [number for number, present in enumerate(self.present, 1) if present]

    def in_flight(self, process: Identity) -> memoryview:
        """Return the in-flight buffer of a process: the records that it has fetched and not finished."""
        return self._in_flight[self._order[process]]

    def activity(self, process: Identity) -> Activity:
        """Return what a process other than the master shows of itself."""
        start = self._order[process] * ACTIVITY_BYTES
        return Activity(self._activity[start : start + ACTIVITY_BYTES])

    def batch_since(self, process: Identity) -> memoryview[int]:
        """Return a word: the time at which the process last began to measure records together (CLOCK_MONOTONIC, ns)."""
        return self._batches[self._order[process]]

    def running(self, process: Identity) -> list[RunningSignal]:
        """Return the signals whose handlers a process runs, the one that started last at the end."""
        return running_signals(self.in_flight(process), self.batch_since(process)[0])

    def process_durations(self, process: Identity) -> ProcessDurations:
        """Return the histograms that a process other than the master writes."""
        return self._durations.of_process(self._order[process])

    def durations(self) -> DurationTotals:
        """Return the histograms of all signals, summed over all processes."""
        return self._durations.totals(self._started())

    def _started(self) -> list[list[int]]:
        """Return the numbers of handlers that each process other than the master has started, by signal."""
        return [slot.started.tolist() for slot in self.counters.slots[: len(self.processes)]]

    def parked(self, process: Identity) -> memoryview:
        """Return one byte for each signal: 1 while the process has a parked record of that number.

        Its next run of that handler then includes every signal that is sent now, so senders need not send it. Only the
        process writes there, and the master when it has exited.
        """
        return self._parked[self._order[process]]

    def claim_sender_only_slot(self) -> int | None:
        """Claim a counter slot for a process that only sends, and return its index. None if all are taken.

        The claim is a record lock, so the kernel releases it when the process exits for any reason.
        """
        for number in range(MAX_SENDER_ONLY):
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._lock_offset + number)
            except OSError:
                continue
            if self._claimed[0] <= number:
                with self._lock():
                    self._claimed[0] = max(self._claimed[0], number + 1)
            return self._first_sender_only + number
        return None

    def free_sender_only_slot(self) -> None:
        """Release the slot that this process has claimed, because it now has one of its own."""
        fcntl.lockf(self.fd, fcntl.LOCK_UN, MAX_SENDER_ONLY, self._lock_offset)

    def running_generations(self) -> set[int]:
        """Return the generations of the code of all processes that have a counter slot.

        Only the master may call it: a process that holds a sender-only slot would release its lock.
        """
        slots = self.counters.slots
        own = (slots[self._order[process]] for process in self.processes)
        sender_only = enumerate(slots[self._first_sender_only :])
        claimed = {slot.generation for number, slot in sender_only if self._is_claimed(number)}
        return claimed | {slot.generation for slot in own if slot.pid}

    def has_uncounted(self) -> bool:
        """Return True if there may be processes without a counter slot, because all slots were taken once."""
        return self._claimed[0] >= MAX_SENDER_ONLY

    def _is_claimed(self, number: int) -> bool:
        """Return True if another process holds a sender-only slot."""
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._lock_offset + number)
        except OSError:
            return True
        fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, self._lock_offset + number)
        return False

    def is_name_unused(self, num: int, running: Collection[int]) -> bool:
        """Return True if a number has a name, and no code of the generations `running` has it."""
        if not self.names[num] or self.live[num] is not None or self.counters.total("waiters", num):
            return False
        first, last = self._name_generations[num], self._name_generations[SIGNALS + num]
        return not any(first <= generation <= last for generation in running)

    def free_name(self, num: int, running: Collection[int]) -> bool:
        """Free the number of an unused name. Return False if another process allocates it, or another name."""
        with self._lock(wait=False) as has_lock:
            if not has_lock or not self.is_name_unused(num, running):
                return False
            self.names[num] = ""
            self.wakeups.rung[num] = 0
            self._durations.clear(num, self._started())
            for slot in self.counters.slots:
                slot.clear(num)
            return True

    def allocate_name(self, name: str, free: Callable[[int], bool], generation: int = 0) -> int:
        """Return the number of a name. A new name gets its first candidate that is `free` and unused on the server.

        It keeps that number as long as a process runs code that has the name. `generation` is the one of the caller.

        Raises:
            NoSignalAvailable: if no number is left.
        """
        with self._lock():
            num, generations = self.names.find(name), self._name_generations
            if num is None:
                num = first_candidate(name, lambda num: free(num) and not self._has(num))
                generations[num] = generations[SIGNALS + num] = generation
                self.names[num] = name
            generations[num] = min(generations[num], generation)
            generations[SIGNALS + num] = max(generations[SIGNALS + num], generation)
            return num

    def find_wakeup(self, target: str) -> int | None:
        """Return the number that wakes the processes of a target for their tasks. None: there is none."""
        return self.live.wakeup_named(WAKEUP_NAME.format(target))

    def allocate_wakeup(self, target: str, free: Callable[[int], bool]) -> int:
        """Return the number that wakes the processes of a target: the one it has, or else the highest free one.

        Raises:
            NoSignalAvailable: if no number is left.
        """
        with self._lock():
            found = self.find_wakeup(target)
            if found is not None and free(found) and self.staged[found] is None:
                return found
            return highest_free(lambda num: free(num) and not self._has(num))

    def _has(self, num: int) -> bool:
        return bool(self.names[num]) or self.live[num] is not None or self.staged[num] is not None

    @contextmanager
    def _lock(self, *, wait: bool = True) -> Generator[bool]:
        """Let one process at a time allocate a name, or count a slot as claimed. Yield False if another one does."""
        # Without it, two processes that allocate at the same moment would find the same number free. A record lock
        # belongs to the process, not to the descriptor that all of them inherited, and the kernel releases it when the
        # process is killed.
        byte = self._lock_offset + MAX_SENDER_ONLY
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, byte)


def _map(fd: int, size: int, *, read_only: bool) -> memoryview:
    access = mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE
    if sys.version_info >= (3, 13):  # else the mapping keeps a duplicate of the descriptor open
        return memoryview(mmap.mmap(fd, size, access=access, trackfd=False))
    return memoryview(mmap.mmap(fd, size, access=access))
