"""Names of signals: validation, candidate numbers, and the table of names."""

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
    """Names as an application may define them."""

    REFRESH = "refresh-prices"


def table() -> NameTable:
    return NameTable(memoryview(bytearray(NAMES_BYTES)))


@given(name=names)
def test_a_valid_name_is_returned(name):
    """Any printable text that is not too long."""
    assert check_name(name) == name


def test_a_member_of_an_enum_becomes_a_plain_str():
    """The signal does not keep the enum."""
    assert type(check_name(Wanted.REFRESH)) is str
    assert check_name(Wanted.REFRESH) == "refresh-prices"


@pytest.mark.parametrize("name", [b"refresh", 17, True, None, ["refresh"], object()])
def test_a_name_that_is_no_str_is_refused(name):
    """The TypeError names the value and its type."""
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
def test_an_invalid_name_is_refused(name, says):
    """The ValueError names it and the rule."""
    with pytest.raises(SignalNameError, match=says) as caught:
        check_name(name)
    assert isinstance(caught.value, ValueError)
    assert caught.value.name == name
    assert repr(name) in str(caught.value)


@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_the_candidates_are_all_numbers(name):
    """Each once: first those from 64 up, from any start and around, then the small ones down to 0."""
    found = list(candidates(name))
    assert sorted(found) == list(range(SIGNALS))
    assert found[192:] == list(range(63, -1, -1))
    assert all(after == (before + 1 if before < 255 else 64) for before, after in pairwise(found[:192]))


@pytest.mark.parametrize(("name", "first"), [("refresh-prices", 180), ("a", 67), ("x", 67), ("größe", 201)])
def test_the_first_candidate_never_changes(name, first):
    """Processes of different versions or interpreters agree on it."""
    assert next(candidates(name)) == first


@given(name=names, taken=st.sets(numbers))
def test_a_name_gets_its_first_free_candidate(name, taken):
    """If none is free, that is an error."""
    free = [num for num in candidates(name) if num not in taken]
    if free:
        assert first_candidate(name, lambda num: num not in taken) == free[0]
    else:
        with pytest.raises(NoSignalAvailable):
            first_candidate(name, lambda num: num not in taken)


def test_a_name_gets_no_number_if_all_are_taken():
    """A case that Hypothesis may not find."""
    with pytest.raises(NoSignalAvailable):
        first_candidate("refresh", lambda _num: False)


def test_an_empty_table_has_no_names():
    """A table of zeros is empty."""
    assert [table()[num] for num in range(SIGNALS)] == [""] * SIGNALS
    assert table().find("refresh") is None


@given(written=st.dictionaries(numbers, names, max_size=20))
def test_a_name_is_read_and_found_as_it_was_written(written):
    """Other numbers have no name."""
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
    """It touches no other entry and no byte after the table."""
    buffer = bytearray(NAMES_BYTES + 8)
    found = NameTable(memoryview(buffer))
    found[num] = "é" * 31 + "x"
    assert found[num] == "é" * 31 + "x"
    assert not any(buffer[: num * NAME_BYTES])
    assert not any(buffer[(num + 1) * NAME_BYTES :])


def test_a_half_written_name_does_not_exist():
    """If its writer is killed, the length is missing, and the next name replaces the rest."""
    buffer = bytearray(NAMES_BYTES)
    found = NameTable(memoryview(buffer))
    buffer[1:9] = b"half nam"
    assert (found[0], found.find("half nam")) == ("", None)
    found[0] = "next"
    assert found[0] == "next"


def test_two_processes_share_a_table():
    """A name that one of them writes is read by the other."""
    memory = memoryview(bytearray(NAMES_BYTES))
    mine, theirs = NameTable(memory), NameTable(memory)
    mine[180] = "refresh-prices"
    assert (theirs[180], theirs.find("refresh-prices")) == ("refresh-prices", 180)
