"""Names of signals, as far as they are pure: what is a name, which number it would have, and the table of them."""

from enum import StrEnum
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.names import (
    MAX_NAME_BYTES,
    NAME_BYTES,
    NAMES_BYTES,
    NameTable,
    candidates,
    check_name,
    first_candidate,
)
from heliograph.exceptions import NoSignalAvailable, SignalNameError, SignalTypeError
from heliograph.models import SIGNALS

numbers = st.integers(0, SIGNALS - 1)
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=MAX_NAME_BYTES).filter(
    lambda name: len(name.encode()) <= MAX_NAME_BYTES
)


class Wanted(StrEnum):
    """Names as an application may keep them."""

    REFRESH = "refresh-prices"


def table() -> NameTable:
    return NameTable(memoryview(bytearray(NAMES_BYTES)))


@given(name=names)
def test_a_name_is_itself(name):
    """Whatever can be read and is not too long."""
    assert check_name(name) == name


def test_a_member_of_an_enum_is_a_plain_str_afterwards():
    """It is taken, and does not stick to the signal."""
    assert type(check_name(Wanted.REFRESH)) is str
    assert check_name(Wanted.REFRESH) == "refresh-prices"


@pytest.mark.parametrize("name", [b"refresh", 17, True, None, ["refresh"], object()])
def test_what_is_no_str_is_refused(name):
    """A TypeError that shows the value and its type."""
    with pytest.raises(SignalTypeError, match="a signal's name is a str, not") as caught:
        check_name(name)
    assert caught.value.value is name
    assert f"({type(name).__name__})" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty or not printable"),
        ("two\nlines", "printable"),
        ("nul\0", "printable"),
        ("half a pair \ud800", "printable"),
        ("x" * 64, "has 64 bytes of UTF-8. Use at most 63"),
        ("é" * 32, "has 64 bytes"),
    ],
    ids=ascii,
)
def test_a_name_that_cannot_be_is_refused(name, says):
    """A ValueError that names it, and says what it would have to be."""
    with pytest.raises(SignalNameError, match=says) as caught:
        check_name(name)
    assert isinstance(caught.value, ValueError)
    assert caught.value.name == name
    assert repr(name) in str(caught.value)


@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_the_candidates_are_all_numbers(name):
    """Each once: first round those from 64 up, wherever that begins, then the small ones down to 0."""
    found = list(candidates(name))
    assert sorted(found) == list(range(SIGNALS))
    assert found[192:] == list(range(63, -1, -1))
    assert all(after == (before + 1 if before < 255 else 64) for before, after in pairwise(found[:192]))


@pytest.mark.parametrize(("name", "first"), [("refresh-prices", 180), ("a", 67), ("x", 67), ("größe", 201)])
def test_the_first_candidate_is_for_ever(name, first):
    """Another one in another version or interpreter, and servers would no longer agree."""
    assert next(candidates(name)) == first


@given(name=names, taken=st.sets(numbers))
def test_the_first_candidate_that_is_free(name, taken):
    """Or an error, if none is."""
    free = [num for num in candidates(name) if num not in taken]
    if free:
        assert first_candidate(name, lambda num: num not in taken) == free[0]
    else:
        with pytest.raises(NoSignalAvailable):
            first_candidate(name, lambda num: num not in taken)


def test_with_all_taken_there_is_none():
    """What Hypothesis may not come upon."""
    with pytest.raises(NoSignalAvailable):
        first_candidate("refresh", lambda _num: False)


def test_an_empty_table_has_no_names():
    """All zero is empty."""
    assert [table()[num] for num in range(SIGNALS)] == [""] * SIGNALS
    assert table().find("refresh") is None


@given(written=st.dictionaries(numbers, names, max_size=20))
def test_a_name_is_read_and_found_as_it_was_written(written):
    """And no other number has one."""
    found = table()
    for num, name in written.items():
        found[num] = name
    assert [found[num] for num in range(SIGNALS)] == [written.get(num, "") for num in range(SIGNALS)]
    for name in written.values():
        num = found.find(name)
        assert num is not None
        assert written[num] == name


@pytest.mark.parametrize("num", [0, 128, 255])
def test_the_longest_name_stays_within_its_entry(num):
    """It touches no neighbour, and not the byte after the table."""
    buffer = bytearray(NAMES_BYTES + 8)
    found = NameTable(memoryview(buffer))
    found[num] = "é" * 31 + "x"
    assert found[num] == "é" * 31 + "x"
    assert not any(buffer[: num * NAME_BYTES])
    assert not any(buffer[(num + 1) * NAME_BYTES :])


def test_a_name_that_was_not_written_to_its_end_is_none():
    """Its writer was killed: the length comes last, and the next name is not mixed up with it."""
    buffer = bytearray(NAMES_BYTES)
    found = NameTable(memoryview(buffer))
    buffer[1:9] = b"half nam"
    assert (found[0], found.find("half nam")) == ("", None)
    found[0] = "next"
    assert found[0] == "next"


def test_two_tables_over_one_memory_are_one():
    """As two processes have them."""
    memory = memoryview(bytearray(NAMES_BYTES))
    mine, theirs = NameTable(memory), NameTable(memory)
    mine[180] = "refresh-prices"
    assert (theirs[180], theirs.find("refresh-prices")) == ("refresh-prices", 180)
