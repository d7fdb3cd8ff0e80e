"""The uwsgi packet that carries a signal: bytes <-> values.

A request is 4 bytes: modifier1 = 110, the size of what follows (two bytes, little endian, 0), modifier2 = the
signal number. The answer is 4 bytes: 255, size 0, and 1 for taken or 0 for refused. Source: uWSGI `core/signal.c`
`uwsgi_remote_signal_send`, `plugins/signal/signal_plugin.c`.
"""

from __future__ import annotations

PACKET_SIZE = 4
"""Bytes of a request and of an answer."""

_SIGNAL = 110
_ANSWER = 255


class NotUwsgi(ValueError):
    """The bytes are not an answer of the uwsgi protocol."""


def encode_signal(num: int) -> bytes:
    """The request that raises signal `num` (0-255)."""
    return bytes((_SIGNAL, 0, 0, num))


def decode_signal(packet: bytes) -> int | None:
    """The number that a request of 4 bytes raises; None if it is no such request."""
    return packet[3] if packet[:3] == bytes((_SIGNAL, 0, 0)) else None


def encode_answer(*, taken: bool) -> bytes:
    """The answer to a request."""
    return bytes((_ANSWER, 0, 0, taken))


def decode_answer(packet: bytes) -> bool:
    """Whether the signal was taken. Raises `NotUwsgi` if these 4 bytes are no such answer."""
    if len(packet) != PACKET_SIZE or packet[:3] != bytes((_ANSWER, 0, 0)) or packet[3] > 1:
        raise NotUwsgi(repr(packet))
    return packet[3] == 1
