"""Records of queues and in-flight buffers: bytes and back, and the unfinished ones of a buffer."""

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
    Record,
    st.integers(0, 255),
    st.integers(0, 65_535),
    st.integers(0, 255),
    st.sampled_from([DONE, FETCHED, RUNNING]),
    st.integers(0, 2**64 - 1),
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


def test_a_new_record_is_fetched_and_not_started():
    """It has no attempts yet."""
    assert encode(Record(17, 3)) == bytes((FETCHED, 17, 0, 0, 3, 0)) + bytes(10)


def test_a_full_buffer_is_one_atomic_write():
    """The records that a process fetches at a time are no more than the kernel writes in one piece."""
    read, write = os.pipe()
    try:
        assert RECORD_BYTES * PREFETCH == IN_FLIGHT_BYTES <= os.fpathconf(write, "PC_PIPE_BUF")
    finally:
        os.close(read)
        os.close(write)


@given(in_flight=st.lists(records, max_size=PREFETCH))
def test_unfinished_records_are_found_at_their_offsets(in_flight):
    """In the order of arrival. A record that was never written is done."""
    memory = memoryview(bytearray(IN_FLIGHT_BYTES))
    for number, record in enumerate(in_flight):
        memory[number * RECORD_BYTES : (number + 1) * RECORD_BYTES] = encode(record)
    found = list(unfinished(memory))
    assert found == [(i * RECORD_BYTES, record) for i, record in enumerate(in_flight) if record.state != DONE]


@given(in_flight=st.lists(records, min_size=1, max_size=PREFETCH))
def test_records_may_be_marked_done_while_they_are_listed(in_flight):
    """Each unfinished record is found once."""
    memory = memoryview(bytearray(b"".join(map(encode, in_flight))))
    seen = []
    for offset, record in unfinished(memory):
        memory[offset] = DONE
        seen.append(record)
    assert seen == [record for record in in_flight if record.state != DONE]
    assert list(unfinished(memory)) == []
