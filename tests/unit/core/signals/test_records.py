"""Records of the queues and hands: bytes and back, and which of a hand are still to be done."""

import os

from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.records import (
    DONE,
    FETCHED,
    IN_FLIGHT_BYTES,
    PREFETCH,
    RECORD_BYTES,
    RUNNING,
    Record,
    decode,
    encode,
    unfinished,
)

records = st.builds(
    Record, st.integers(0, 255), st.integers(0, 65_535), st.integers(0, 255), st.sampled_from([DONE, FETCHED, RUNNING])
)


@given(record=records)
def test_a_record_survives_its_bytes(record):
    """Every number, queue, count and state; as bytes and as a view of memory."""
    data = encode(record)
    assert len(data) == RECORD_BYTES
    assert decode(data) == decode(memoryview(data)) == record


@given(first=records, second=records)
def test_two_records_are_two_byte_strings(first, second):
    """Nothing of a record is lost in its bytes."""
    assert (encode(first) == encode(second)) == (first == second)


def test_a_new_record_waits():
    """Nobody has died of it."""
    assert encode(Record(17, 3)) == bytes((FETCHED, 17, 0, 0, 3, 0)) + bytes(10)


def test_a_write_of_a_hand_is_atomic():
    """A record, and as many as a process takes at a time, are no more than the kernel writes in one piece."""
    read, write = os.pipe()
    try:
        assert RECORD_BYTES * PREFETCH == IN_FLIGHT_BYTES <= os.fpathconf(write, "PC_PIPE_BUF")
    finally:
        os.close(read)
        os.close(write)


@given(hand=st.lists(records, max_size=PREFETCH))
def test_what_is_not_done_is_found_where_it_is(hand):
    """In the order of arrival, with its offset; what was never written is done."""
    memory = memoryview(bytearray(IN_FLIGHT_BYTES))
    for number, record in enumerate(hand):
        memory[number * RECORD_BYTES : (number + 1) * RECORD_BYTES] = encode(record)
    found = list(unfinished(memory))
    assert found == [(i * RECORD_BYTES, record) for i, record in enumerate(hand) if record.state != DONE]


@given(hand=st.lists(records, min_size=1, max_size=PREFETCH))
def test_a_hand_may_be_settled_while_it_is_looked_through(hand):
    """Each is found once, also where what was found is marked as done meanwhile."""
    memory = memoryview(bytearray(b"".join(map(encode, hand))))
    seen = []
    for offset, record in unfinished(memory):
        memory[offset] = DONE
        seen.append(record)
    assert seen == [record for record in hand if record.state != DONE]
    assert list(unfinished(memory)) == []
