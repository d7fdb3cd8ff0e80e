"""Counters of many processes, each in a slot of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.stats.counters import COUNTERS, SLOT_BYTES, CounterName, Counters

CACHE_LINE = 64

places = st.tuples(st.integers(0, 3), st.sampled_from(COUNTERS), st.integers(0, 255))


def make_counters(slots: int) -> Counters:
    return Counters(memoryview(bytearray(slots * SLOT_BYTES)), slots)


@given(counts=st.dictionaries(places, st.integers(1, 2**40), max_size=30), rejections=st.lists(st.integers(0, 3)))
def test_counters_do_not_overlap(counts: dict[tuple[int, CounterName, int], int], rejections: list[int]) -> None:
    """A count is read in its counter and slot only, and totals add the slots up."""
    counters = make_counters(4)
    for (slot, row, num), count in counts.items():
        getattr(counters.slots[slot], row)[num] += count
    for slot in rejections:
        counters.slots[slot].count_rejected(7.0)
    for slot in range(4):
        for row in COUNTERS:
            words: memoryview[int] = getattr(counters.slots[slot], row)
            assert {num: count for num, count in enumerate(words) if count} == {
                num: count for (s, r, num), count in counts.items() if (s, r) == (slot, row)
            }
        assert counters.slots[slot].rejected == rejections.count(slot)
    for _, row, num in counts:
        assert counters.total(row, num) == sum(counts.get((slot, row, num), 0) for slot in range(4))
    assert counters.rejected() == len(rejections)


def test_two_processes_share_counters() -> None:
    """A count that one of them writes is read by the other."""
    buffer = memoryview(bytearray(2 * SLOT_BYTES))
    mine, theirs = Counters(buffer, 2), Counters(buffer, 2)
    mine.slots[1].sent[7] += 3
    assert theirs.slots[1].sent[7] == 3
    assert theirs.total("sent", 7) == 3


def test_a_slot_has_a_process_id() -> None:
    """It touches no counter."""
    counters = make_counters(2)
    counters.slots[1].pid = 4711
    assert [slot.pid for slot in counters.slots] == [0, 4711]
    assert (counters.rejected(), sum(map(sum, (getattr(counters.slots[1], row) for row in COUNTERS)))) == (0, 0)
    counters.slots[1].count_rejected(7.0)
    assert counters.slots[1].pid == 4711


def test_a_slot_stays_within_its_bytes() -> None:
    """Its largest counts touch no byte behind it."""
    buffer = bytearray(2 * SLOT_BYTES + 8)
    counters = Counters(memoryview(buffer), 2)
    for row in COUNTERS:
        getattr(counters.slots[0], row)[255] = 2**64 - 1
    counters.slots[0].count_rejected(7.0)
    assert not any(buffer[SLOT_BYTES:])


def test_writers_do_not_share_a_cache_line() -> None:
    """A slot consists of whole cache lines, so that processes do not slow each other down."""
    assert SLOT_BYTES % CACHE_LINE == 0


def test_a_buffer_that_is_too_small_is_an_error() -> None:
    """The error comes at once, not at the first count of the last process."""
    with pytest.raises((ValueError, TypeError, IndexError)):
        use_too_small_buffer()


def use_too_small_buffer() -> None:
    counters = Counters(memoryview(bytearray(SLOT_BYTES)), 2)
    counters.slots[1].sent[0] += 1


@given(
    counts=st.dictionaries(places, st.integers(1, 2**40), max_size=30),
    rejections=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2**32)), max_size=5),
)
def test_totals_of_all_signals_are_those_of_each(
    counts: dict[tuple[int, CounterName, int], int], rejections: list[tuple[int, int]]
) -> None:
    """They are summed at once. The time of the last rejected send is the latest one of any process."""
    counters = make_counters(4)
    for slot, process in enumerate(counters.slots):
        process.pid = process.generation = 2**32 - slot
    for (slot, row, num), count in counts.items():
        getattr(counters.slots[slot], row)[num] += count
    for slot, at in rejections:
        counters.slots[slot].count_rejected(float(at))
    totals = counters.totals()
    for row in COUNTERS:
        assert [totals.total(row, num) for num in range(256)] == [counters.total(row, num) for num in range(256)]
    last: dict[int, int] = dict(rejections)
    assert (totals.rejected, totals.rejected_at) == (len(rejections), max(last.values(), default=0) * 10**9)
