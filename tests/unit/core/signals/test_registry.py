"""Rows S1-S3, as far as they are pure: numbers, and who has them."""

from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.registry import SignalRegistry, check_num
from heliograph.exceptions import (
    NoSignalAvailable,
    SignalNameError,
    SignalNumberError,
    SignalTypeError,
    UwsgiconfException,
)
from heliograph.models import SIGNALS, SignalDescription


class Named(IntEnum):
    """Signals by name, as applications write them."""

    REFRESH = 17
    BEYOND = 256


class NumpyLike:
    """An integer of another library: it can be an index, and is no int."""

    def __index__(self) -> int:
        return 17


def nowhere(_num: int) -> bool:
    return False


def describe(num: int) -> SignalDescription:
    return SignalDescription(num, "worker", print)


@pytest.mark.parametrize("num", [0, 1, 17, 255])
def test_a_number_is_itself(num: int) -> None:
    """S1: 0 to 255."""
    assert check_num(num) == num


def test_a_named_number_is_a_plain_int_afterwards() -> None:
    """S1: a member of an IntEnum is taken, and does not stick to the signal."""
    assert type(check_num(Named.REFRESH)) is int
    assert check_num(Named.REFRESH) == 17


def test_a_text_may_be_meant_as_a_name() -> None:
    """S1: how a name is given is said."""
    with pytest.raises(SignalTypeError, match=r"Signal\(name='refresh'\)"):
        check_num("refresh")


@pytest.mark.parametrize("num", [-1, 256, -256, 65_536, 10**30, Named.BEYOND])
def test_a_number_out_of_range_does_not_wrap_around(num: int) -> None:
    """S1: a ValueError that names the number and the range."""
    with pytest.raises(SignalNumberError, match=f"{int(num)} is out of range: use 0 to 255") as caught:
        check_num(num)
    assert caught.value.num == num


@pytest.mark.parametrize("num", [True, False, 1.0, "1", b"1", None, [1], 1j, NumpyLike(), float("nan")])
def test_what_is_no_int_is_refused(num: object) -> None:
    """S1: a TypeError that shows the value and its type; a bool is not a number either."""
    with pytest.raises(SignalTypeError, match="from 0 to 255, not") as caught:
        check_num(num)
    assert caught.value.value is num
    assert f"({type(num).__name__})" in str(caught.value)


@given(num=st.integers())
def test_any_int_is_a_number_or_an_error(num: int) -> None:
    """S1: nothing in between."""
    if 0 <= num < SIGNALS:
        assert check_num(num) == num
    else:
        with pytest.raises(SignalNumberError):
            check_num(num)


@given(
    registered=st.sets(st.integers(0, 255)),
    named=st.sets(st.integers(0, 255)),
    elsewhere=st.sets(st.integers(0, 255)),
    claims=st.integers(0, SIGNALS + 1),
)
def test_a_claim_is_the_lowest_number_that_nobody_has(
    registered: set[int], named: set[int], elsewhere: set[int], claims: int
) -> None:
    """S2, S3: each claim gets what `first_free` said; none gets another's; when all are taken both raise."""
    table = SignalRegistry()
    table.registered.update({num: describe(num) for num in registered})
    table.names.update({num: f"name {num}" for num in named})
    free = sorted(set(range(SIGNALS)) - registered - named - elsewhere)
    for expected in free[:claims]:
        assert table.first_free(elsewhere.__contains__) == expected
        assert table.claim(elsewhere.__contains__) == expected
    if claims > len(free):
        before = set(table.claimed)
        with pytest.raises(NoSignalAvailable):
            table.first_free(elsewhere.__contains__)
        with pytest.raises(UwsgiconfException, match="all 256"):
            table.claim(elsewhere.__contains__)
        assert table.claimed == before


def test_looking_is_not_taking() -> None:
    """S3: `first_free` changes nothing."""
    table = SignalRegistry()
    assert [table.first_free(nowhere), table.first_free(nowhere)] == [0, 0]
    assert table.claimed == set()


def test_a_name_is_found_and_takes_its_number() -> None:
    """S2: in both directions; nobody else gets the number."""
    table = SignalRegistry()
    table.name(0, "refresh")
    assert (table.number_of("refresh"), table.number_of("report")) == (0, None)
    assert table.claim(nowhere) == 1


@pytest.mark.parametrize("has", ["registered", "claimed", "named"])
def test_what_something_else_has_gets_no_name(has: str) -> None:
    """S2: an error that says which number it is and what can be done; nothing has changed."""
    table = SignalRegistry()
    if has == "registered":
        table.registered[0] = describe(0)
    elif has == "claimed":
        table.claim(nowhere)
    else:
        table.name(0, "report")
    before = dict(table.names)
    with pytest.raises(SignalNameError, match=r"'refresh'.* number 0 .* another number, or the name") as caught:
        table.name(0, "refresh")
    assert caught.value.name == "refresh"
    assert table.names == before


def test_a_cleared_table_is_a_fresh_one() -> None:
    """`clear` forgets claims, names and registrations, and keeps the dictionary that others hold."""
    table = SignalRegistry()
    registered = table.registered
    table.claim(nowhere)
    registered[3] = describe(3)
    table.name(180, "refresh")
    table.clear()
    assert (table.registered, table.claimed, table.names) == ({}, set(), {})
    assert table.registered is registered
