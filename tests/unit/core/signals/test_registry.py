"""Signal numbers, and which of them are in use."""

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
    """Signals with names, as applications write them."""

    REFRESH = 17
    BEYOND = 256


class NumpyLike:
    """An integer of another library: it is an index, but not an int."""

    def __index__(self) -> int:
        return 17


def nowhere(_num: int) -> bool:
    return False


def describe(num: int) -> SignalDescription:
    return SignalDescription(num, "worker", print)


@pytest.mark.parametrize("num", [0, 1, 17, 255])
def test_valid_numbers_are_returned(num: int) -> None:
    """0 to 255."""
    assert check_num(num) == num


def test_enum_member_becomes_a_plain_int() -> None:
    """A member of an IntEnum is accepted."""
    assert type(check_num(Named.REFRESH)) is int
    assert check_num(Named.REFRESH) == 17


def test_text_gets_a_hint_about_names() -> None:
    """The message shows how to pass a name."""
    with pytest.raises(SignalTypeError, match=r"Signal\(name='refresh'\)"):
        check_num("refresh")


@pytest.mark.parametrize("num", [-1, 256, -256, 65_536, 10**30, Named.BEYOND])
def test_number_out_of_range_is_rejected(num: int) -> None:
    """The ValueError has the number and the range."""
    with pytest.raises(SignalNumberError, match=f"out of range: {int(num)}. Use 0 to 255") as caught:
        check_num(num)
    assert caught.value.num == num


@pytest.mark.parametrize("num", [True, False, 1.0, "1", b"1", None, [1], 1j, NumpyLike(), float("nan")])
def test_other_types_are_rejected(num: object) -> None:
    """The TypeError has the value and its type. A bool is not a number."""
    with pytest.raises(SignalTypeError, match=r"invalid signal number: .*Pass an int from 0 to 255") as caught:
        check_num(num)
    assert caught.value.value is num
    assert f"({type(num).__name__})" in str(caught.value)


@given(num=st.integers())
def test_any_int_is_valid_or_rejected(num: int) -> None:
    """There is no third result."""
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
def test_claim_returns_the_lowest_free_number(
    registered: set[int], named: set[int], elsewhere: set[int], claims: int
) -> None:
    """The same one as `first_free`. If all are in use, both raise an exception."""
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


def test_first_free_claims_nothing() -> None:
    """It changes nothing."""
    table = SignalRegistry()
    assert [table.first_free(nowhere), table.first_free(nowhere)] == [0, 0]
    assert table.claimed == set()


def test_name_can_be_looked_up_and_claims_its_number() -> None:
    """In both directions."""
    table = SignalRegistry()
    table.name(0, "refresh")
    assert (table.number_of("refresh"), table.number_of("report")) == (0, None)
    assert table.claim(nowhere) == 1


@pytest.mark.parametrize("has", ["registered", "claimed", "named"])
def test_used_number_cannot_be_named(has: str) -> None:
    """The message has the number and the solution, and nothing has changed."""
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


def test_clear_removes_all_entries() -> None:
    """It keeps the dictionary that other code holds."""
    table = SignalRegistry()
    registered = table.registered
    table.claim(nowhere)
    registered[3] = describe(3)
    table.name(180, "refresh")
    table.clear()
    assert (table.registered, table.claimed, table.names) == ({}, set(), {})
    assert table.registered is registered
