"""Histograms of durations, and the sums of many."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.stats.durations import DURATION_BYTES, Durations
from heliograph._core.stats.histogram import BUCKETS, UPPER_BOUNDS, WORDS, Histogram, bucket_of
from heliograph._core.stats.lanes import sum_words

nanoseconds = st.integers(-5, 2**45) | st.integers(0, 5000)
slots = st.lists(st.lists(st.integers(0, 2**50), min_size=5, max_size=5), max_size=8)


def histogram_of(durations: list[int]) -> Histogram:
    counts = [0] * BUCKETS
    for duration in durations:
        counts[bucket_of(duration)] += 1
    return Histogram(tuple(counts), sum(durations))


@given(duration=nanoseconds)
def test_a_duration_is_in_the_bucket_of_its_bounds(duration: int) -> None:
    """It exceeds the upper bound of the bucket before, and not that of its own, except in the last one."""
    bucket = bucket_of(duration)
    assert bucket == BUCKETS - 1 or duration <= UPPER_BOUNDS[bucket] * 1e9
    assert bucket == 0 or duration > UPPER_BOUNDS[bucket - 1] * 1e9


@pytest.mark.parametrize(
    ("duration", "bucket"),
    [(-1, 0), (0, 0), (1, 0), (1000, 0), (1001, 1), (2000, 1), (2001, 2), (10**9, 20), (2**62, BUCKETS - 1)],
)
def test_bounds_belong_to_their_buckets(duration: int, bucket: int) -> None:
    assert bucket_of(duration) == bucket


@given(durations=st.lists(st.integers(0, 2**41), min_size=1), share=st.floats(0, 1))
def test_a_quantile_is_in_the_bucket_of_the_duration_that_it_stands_for(durations: list[int], share: float) -> None:
    """It is wrong by the width of a bucket at most, and never exceeds the sum of all durations by rounding."""
    durations = [duration for duration in durations if duration < 2**31 * 1000] or [1]
    found = histogram_of(durations).quantile(share)
    exact = sorted(durations)[max(math.ceil(share * len(durations)) - 1, 0)]
    bucket = bucket_of(exact)
    lower = UPPER_BOUNDS[bucket - 1] if bucket else 0.0
    assert found is not None
    assert lower <= found <= UPPER_BOUNDS[bucket]


@given(durations=st.lists(st.integers(0, 2**45), min_size=1))
def test_quantiles_do_not_decrease(durations: list[int]) -> None:
    values = [histogram_of(durations).quantile(share / 20) for share in range(21)]
    assert values == sorted(values, key=lambda value: value or 0.0)


def test_no_durations_have_no_quantile() -> None:
    assert (Histogram().quantile(0.5), Histogram().count, Histogram().rows()) == (None, 0, ())


def test_a_single_duration_is_its_own_quantile() -> None:
    """The interpolated one would be up to twice as long."""
    assert histogram_of([2_100_000_000]).quantile(0.99) == pytest.approx(2.1)


@given(one=st.lists(nanoseconds), other=st.lists(nanoseconds))
def test_two_histograms_add_up(one: list[int], other: list[int]) -> None:
    assert histogram_of(one).plus(histogram_of(other)) == histogram_of(one + other)


@given(slots=slots)
def test_sums_of_slots_are_those_of_their_words(slots: list[list[int]]) -> None:
    """Words of 64 bits do not carry into each other."""
    parts = [(0, memoryview(b"".join(word.to_bytes(8, "little") for word in slot))) for slot in slots]
    assert sum_words(parts, 40).tolist() == [sum(column) for column in zip(*slots, strict=True)] or not slots


@given(parts=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**60)), max_size=8))
def test_parts_are_added_at_their_offsets(parts: list[tuple[int, int]]) -> None:
    found = sum_words([(8 * word, memoryview(value.to_bytes(8, "little"))) for word, value in parts], 40)
    assert found.tolist() == [sum(value for word, value in parts if word == place) for place in range(5)]


def test_damaged_words_do_not_stop_a_reader() -> None:
    """Their sums mean nothing, but no exception ends the look."""
    full = memoryview(b"\xff" * 16)
    assert len(sum_words([(0, full), (0, full)], 16)) == 2


@given(
    added=st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 255), st.integers(0, 2**40), st.integers(1, 99))
    )
)
def test_durations_of_all_processes_add_up(added: list[tuple[int, bool, int, int, int]]) -> None:
    """Each is read at its signal only, as waited or ran."""
    durations = Durations(memoryview(bytearray(4 * DURATION_BYTES)), 4)
    started = [[0] * 256 for _ in range(4)]
    expected: dict[tuple[bool, int], Histogram] = {}
    for process, is_wait, num, duration, signals in added:
        started[process][num] += 1
        slot = durations.of_process(process)
        (slot.add_waited if is_wait else slot.add_ran)(num, duration, signals)
        each, total = (duration, duration * signals) if is_wait else (duration // signals, duration)
        counts = tuple(signals if bucket == bucket_of(each) else 0 for bucket in range(BUCKETS))
        expected[is_wait, num] = expected.get((is_wait, num), Histogram()).plus(Histogram(counts, total))
    totals = durations.totals(started)
    for num in range(256):
        assert totals.waited(num) == expected.get((True, num), Histogram())
        assert totals.ran(num) == expected.get((False, num), Histogram())


def test_a_process_without_handlers_is_not_read() -> None:
    """The kernel would give memory to its slot."""
    durations = Durations(memoryview(bytearray(2 * DURATION_BYTES)), 2)
    durations.of_process(1).add_ran(7, 5000)
    assert durations.totals([[0] * 256, [0] * 256]).ran(7).count == 0
    durations.clear(7, [[0] * 256, [0] * 7 + [1] + [0] * 248])
    assert durations.totals([[1] * 256, [1] * 256]).ran(7) == Histogram()


def test_a_histogram_has_a_word_for_its_total() -> None:
    assert len(Histogram().counts) + 1 == WORDS
