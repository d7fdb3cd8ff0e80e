"""A signal in a queue, and in a process's hand: fixed-size records, bytes <-> values.

A record is RECORD_BYTES long, so that a write of one is atomic (`PIPE_BUF` is at least 512):

    byte 0     state: 0 nothing or done, 1 waiting, 2 in hand, 3 interrupted
    byte 1     the signal's number
    byte 2     attempts: how many processes died with it in hand
    bytes 4-5  the queue that it came through, by its place in `all_queues`, little endian

A *hand* is a row of HAND_RECORDS records in shared memory. A process lets the kernel read records straight into it
(`readv`), so no record is ever only in the memory of a process that may be killed: it is in the pipe or in a hand.
What a dead process's hand holds in state 1 was not begun; what is in state 2 was. What is in state 3 was begun too, but
the process had been told to end, and did not die of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

RECORD_BYTES = 16
PREFETCH = 64
"""How many signals of its own queue a process takes at a time; 64 records are one read of 1,024 bytes."""
IN_FLIGHT_BYTES = RECORD_BYTES * PREFETCH

FORMAT_VERSION = 1
"""Version of the format of a record. Increase it when the meaning of a byte changes."""

DONE, FETCHED, RUNNING, INTERRUPTED = 0, 1, 2, 3


class Record(NamedTuple):
    """One record: which signal, through which queue, and how often a process died of it."""

    num: int
    queue: int
    attempts: int = 0
    state: int = FETCHED


def encode(record: Record) -> bytes:
    """The record as bytes."""
    head = bytes((record.state, record.num, record.attempts, 0))
    return (head + record.queue.to_bytes(2, "little")).ljust(RECORD_BYTES, b"\0")


def decode(data: bytes | memoryview) -> Record:
    """The record that RECORD_BYTES bytes are."""
    return Record(data[1], int.from_bytes(data[4:6], "little"), data[2], data[0])


def unfinished(in_flight: memoryview) -> Iterator[tuple[int, Record]]:
    """The records of a hand that are not done, with their offsets in bytes, in the order of their arrival."""
    for offset in range(0, len(in_flight), RECORD_BYTES):
        if in_flight[offset] != DONE:
            yield offset, decode(in_flight[offset : offset + RECORD_BYTES])
