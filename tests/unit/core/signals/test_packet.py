"""Row D8, as far as it is pure: the packet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.packet import (
    PACKET_SIZE,
    NotUwsgi,
    decode_answer,
    decode_signal,
    encode_answer,
    encode_signal,
)


@given(num=st.integers(0, 255))
def test_a_request_is_six_e_nothing_and_the_number(num: int) -> None:
    """`6e 00 00 NN`: modifier 110, size 0 in two bytes, the number."""
    packet = encode_signal(num)
    assert (packet[0], packet[1:3], packet[3]) == (0x6E, b"\0\0", num)
    assert len(packet) == PACKET_SIZE


@pytest.mark.parametrize(("packet", "taken"), [(b"\xff\0\0\1", True), (b"\xff\0\0\0", False)])
def test_an_answer_is_yes_or_no(packet: bytes, taken: bool) -> None:
    """`ff 00 00 01` is taken, `ff 00 00 00` is not."""
    assert decode_answer(packet) is taken


@given(packet=st.binary(max_size=6) | st.binary(min_size=4, max_size=4) | st.just(b"\xff\0\0\2"))
def test_any_other_bytes_are_not_uwsgi(packet: bytes) -> None:
    """Any four bytes, and any other number of bytes, are an answer or an error that shows them."""
    if packet in (b"\xff\0\0\0", b"\xff\0\0\1"):
        assert decode_answer(packet) == bool(packet[3])
    else:
        with pytest.raises(NotUwsgi) as caught:
            decode_answer(packet)
        assert str(caught.value) == repr(packet)


@given(num=st.integers(0, 255))
def test_a_request_is_no_answer(num: int) -> None:
    """An echo server does not pass for uWSGI."""
    with pytest.raises(NotUwsgi):
        decode_answer(encode_signal(num))


@given(num=st.integers(0, 255))
def test_a_request_is_understood(num: int) -> None:
    """What one side writes the other side reads."""
    assert decode_signal(encode_signal(num)) == num


@given(packet=st.binary(min_size=4, max_size=4) | st.just(b"\xff\0\0\1"))
def test_any_other_four_bytes_are_no_request(packet: bytes) -> None:
    """A request of another modifier, or with a size, raises nothing."""
    assert decode_signal(packet) == (packet[3] if packet[:3] == b"\x6e\0\0" else None)


@pytest.mark.parametrize("taken", [True, False])
def test_an_answer_is_understood(taken: bool) -> None:
    """Both ways."""
    assert decode_answer(encode_answer(taken=taken)) is taken
