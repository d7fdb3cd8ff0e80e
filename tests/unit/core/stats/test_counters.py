"""The accounts: counters that many processes keep, each in its own slot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.stats.counters import COUNTERS, SLOT_BYTES, CounterName, Counters

CACHE_LINE = 64

places = st.tuples(st.integers(0, 3), st.sampled_from(COUNTERS), st.integers(0, 255))


def accounts(slots: int) -> Counters:
    return Counters(memoryview(bytearray(slots * SLOT_BYTES)), slots)


@given(counts=st.dictionaries(places, st.integers(1, 2**40), max_size=30), refusals=st.lists(st.integers(0, 3)))
def test_no_counter_lies_on_another(counts: dict[tuple[int, CounterName, int], int], refusals: list[int]) -> None:
    """What is written to one counter of one slot is read there and nowhere else; totals add the slots up."""
    book = accounts(4)
    for (slot, row, num), count in counts.items():
        getattr(book.slots[slot], row)[num] += count
    for slot in refusals:
        book.slots[slot].count_rejected()
    for slot in range(4):
        for row in COUNTERS:
            words: memoryview[int] = getattr(book.slots[slot], row)
            assert {num: count for num, count in enumerate(words) if count} == {
                num: count for (s, r, num), count in counts.items() if (s, r) == (slot, row)
            }
        assert book.slots[slot].rejected == refusals.count(slot)
    for _, row, num in counts:
        assert book.total(row, num) == sum(counts.get((slot, row, num), 0) for slot in range(4))
    assert book.rejected() == len(refusals)


def test_processes_share_the_memory_that_they_are_given() -> None:
    """Two accounts over one buffer, as two processes have them, see the same numbers."""
    buffer = memoryview(bytearray(2 * SLOT_BYTES))
    mine, theirs = Counters(buffer, 2), Counters(buffer, 2)
    mine.slots[1].sent[7] += 3
    assert theirs.slots[1].sent[7] == 3
    assert theirs.total("sent", 7) == 3


def test_a_slot_knows_who_counts_there() -> None:
    """The process id lies beside the counters, and touches none."""
    book = accounts(2)
    book.slots[1].pid = 4711
    assert [slot.pid for slot in book.slots] == [0, 4711]
    assert (book.rejected(), sum(map(sum, (getattr(book.slots[1], row) for row in COUNTERS)))) == (0, 0)
    book.slots[1].count_rejected()
    assert book.slots[1].pid == 4711


def test_a_slot_stays_within_its_bytes() -> None:
    """The last word of a slot is its own: the byte after it is never touched."""
    buffer = bytearray(2 * SLOT_BYTES + 8)
    book = Counters(memoryview(buffer), 2)
    for row in COUNTERS:
        getattr(book.slots[0], row)[255] = 2**64 - 1
    book.slots[0].count_rejected()
    assert not any(buffer[SLOT_BYTES:])


def test_writers_do_not_share_a_cache_line() -> None:
    """A slot is a whole number of cache lines, so that processes do not slow each other down."""
    assert SLOT_BYTES % CACHE_LINE == 0


def test_a_buffer_that_is_too_small_is_an_error() -> None:
    """Too little memory is found out at once, not at the first count of the last process."""
    with pytest.raises((ValueError, TypeError, IndexError)):
        accounts_in_too_little()


def accounts_in_too_little() -> None:
    book = Counters(memoryview(bytearray(SLOT_BYTES)), 2)
    book.slots[1].sent[0] += 1
