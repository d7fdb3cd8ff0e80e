"""Fixed-size records: a signal in a queue or in the in-flight buffer of a process, as bytes and as a value.

A record is RECORD_BYTES long, so that the kernel writes it atomically (`PIPE_BUF` is at least 512):

    byte 0     state: 0 empty or done, 1 fetched, 2 running, 3 interrupted
    byte 1     number of the signal
    byte 2     attempts: number of processes that were killed while they ran it
    byte 3     1 while its time limit is the one that ends the process
    bytes 4-5  the queue that it came through, as an index of `pipes.server_queues`, little endian
    byte 6     1 if bytes 8-15 had a time when it was sent or redelivered
    bytes 8-15 a time in nanoseconds of CLOCK_MONOTONIC, native byte order: when it was sent or redelivered, unless the
               receiver has replaced it with the time at which the handler started

An in-flight buffer holds PREFETCH records in shared memory. A process lets the kernel read records straight into it
(`readv`), so a record is always in a pipe or in a buffer, and never only in the memory of a process that may be killed.
The states in the buffer of a dead process tell what happened. The handler of a fetched record has not started. The
handler of a running record has. The handler of an interrupted record has started as well, but the process was shutting
down, so the handler did not cause its end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

RECORD_BYTES = 16
PREFETCH = 64
"""Number of signals that a process fetches at a time from its own queue: one read of 1,024 bytes."""
IN_FLIGHT_BYTES = RECORD_BYTES * PREFETCH
"""Bytes of an in-flight buffer."""
IN_FLIGHT_SLOT_BYTES = IN_FLIGHT_BYTES + 64
"""Bytes of an in-flight buffer with what follows it: a word with the time at which the last batch began. A batch is a
number of records that the process measures together: it writes no time into each of them."""

FORMAT_VERSION = 3
"""Version of the format of a record. Increase it when the meaning of a byte changes."""

DONE, FETCHED, RUNNING, INTERRUPTED = 0, 1, 2, 3

ATTEMPTS_BYTE = 2
"""Position of the byte that counts the attempts."""
STAMPED_BYTE = 6
"""Position of the byte that says that there is a time."""
TIME_OFFSET = 8
"""Position of the time."""
LIMITED_BYTE = 3
"""Position of the byte that says whose time limit ends the process: handlers can run within waiting ones."""


class Record(NamedTuple):
    """A signal, the queue it came through, the number of processes killed while they ran it, and its state."""

    num: int
    queue: int
    attempts: int = 0
    state: int = FETCHED
    time: int = 0
    """Nanoseconds of CLOCK_MONOTONIC, 0 if it is not known."""


def encode(record: Record) -> bytes:
    """Return the record as RECORD_BYTES bytes."""
    head = bytes((record.state, record.num, record.attempts, 0)) + record.queue.to_bytes(2, "little")
    return stamped(head.ljust(RECORD_BYTES, b"\0"), record.time)


def stamped(record: bytes, time: int) -> bytes:
    """Return the record with another time."""
    return record[:STAMPED_BYTE] + (b"\1\0" if time else b"\0\0") + time.to_bytes(8, sys.byteorder)


def decode(data: bytes | memoryview) -> Record:
    """Return the record that RECORD_BYTES bytes hold."""
    time = int.from_bytes(data[TIME_OFFSET:RECORD_BYTES], sys.byteorder)
    return Record(data[1], int.from_bytes(data[4:6], "little"), data[2], data[0], time)


def queue_of(in_flight: memoryview, offset: int) -> int:
    """Return the queue that the record at an offset came through, as an index of `pipes.server_queues`."""
    return int.from_bytes(in_flight[offset + 4 : offset + 6], "little")


def unfinished(in_flight: memoryview) -> Iterator[tuple[int, Record]]:
    """Yield the records of an in-flight buffer that are not done, with their offsets in bytes, oldest first."""
    for offset in range(0, len(in_flight), RECORD_BYTES):
        if in_flight[offset] != DONE:
            yield offset, decode(in_flight[offset : offset + RECORD_BYTES])
