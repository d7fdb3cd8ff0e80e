"""The packet of the uwsgi protocol that carries a signal.

A request is 4 bytes: modifier1 = 110, the size of what follows (two bytes, little endian, 0), modifier2 = the
signal number. The answer is 4 bytes: 255, size 0, and 1 for accepted or 0 for rejected. Source: uWSGI `core/signal.c`
`uwsgi_remote_signal_send`, `plugins/signal/signal_plugin.c`.
"""

from __future__ import annotations

PACKET_SIZE = 4
"""Bytes of a request, and of an answer."""

_SIGNAL = 110
_ANSWER = 255


class NotUwsgi(ValueError):
    """The bytes are not an answer of the uwsgi protocol."""


def encode_signal(num: int) -> bytes:
    """Encode a request that sends signal `num` (0-255)."""
    return bytes((_SIGNAL, 0, 0, num))


def decode_signal(packet: bytes) -> int | None:
    """Return the signal of a request of 4 bytes. None if it is another kind of request."""
    return packet[3] if packet[:3] == bytes((_SIGNAL, 0, 0)) else None


def encode_answer(*, taken: bool) -> bytes:
    """Encode an answer."""
    return bytes((_ANSWER, 0, 0, taken))


def decode_answer(packet: bytes) -> bool:
    """Return True if the signal was accepted.

    Raises:
        NotUwsgi: The bytes are not such an answer.
    """
    if len(packet) != PACKET_SIZE or packet[:3] != bytes((_ANSWER, 0, 0)) or packet[3] > 1:
        raise NotUwsgi(repr(packet))
    return packet[3] == 1
