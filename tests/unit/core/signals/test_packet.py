"""The packet of the uwsgi protocol."""

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
def test_request_is_modifier_size_and_number(num: int) -> None:
    """`6e 00 00 NN`: modifier 110, size 0 in two bytes, the number."""
    packet = encode_signal(num)
    assert (packet[0], packet[1:3], packet[3]) == (0x6E, b"\0\0", num)
    assert len(packet) == PACKET_SIZE


@pytest.mark.parametrize(("packet", "taken"), [(b"\xff\0\0\1", True), (b"\xff\0\0\0", False)])
def test_answer_is_accepted_or_rejected(packet: bytes, taken: bool) -> None:
    """`ff 00 00 01` means accepted, `ff 00 00 00` rejected."""
    assert decode_answer(packet) is taken


@given(packet=st.binary(max_size=6) | st.binary(min_size=4, max_size=4) | st.just(b"\xff\0\0\2"))
def test_other_bytes_are_not_an_answer(packet: bytes) -> None:
    """Any other bytes raise an exception that shows them."""
    if packet in (b"\xff\0\0\0", b"\xff\0\0\1"):
        assert decode_answer(packet) == bool(packet[3])
    else:
        with pytest.raises(NotUwsgi) as caught:
            decode_answer(packet)
        assert str(caught.value) == repr(packet)


@given(num=st.integers(0, 255))
def test_request_is_not_an_answer(num: int) -> None:
    """An echo server does not count as a uwsgi server."""
    with pytest.raises(NotUwsgi):
        decode_answer(encode_signal(num))


@given(num=st.integers(0, 255))
def test_request_can_be_decoded(num: int) -> None:
    """Both sides agree."""
    assert decode_signal(encode_signal(num)) == num


@given(packet=st.binary(min_size=4, max_size=4) | st.just(b"\xff\0\0\1"))
def test_other_bytes_are_not_a_request(packet: bytes) -> None:
    """A request with another modifier, or with a size, sends no signal."""
    assert decode_signal(packet) == (packet[3] if packet[:3] == b"\x6e\0\0" else None)


@pytest.mark.parametrize("taken", [True, False])
def test_answer_can_be_decoded(taken: bool) -> None:
    """Both answers."""
    assert decode_answer(encode_answer(taken=taken)) is taken
