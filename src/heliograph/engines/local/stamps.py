"""Times of sending in signals: which ones carry one.

Reading a clock takes a tenth of the time of a send, so a process that sends a number very often does not do it.

How it works
    Each signal gets a time until 64 of a number were sent in a row, each within a millisecond of the one before. Then
    its delivery moves to `direct`, the fast path of a send, which looks at nothing. It moves back when the process
    handles a signal, or when a queue is full.
    A signal to several processes at once has no such path. Then every 256th gets a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns

from heliograph._core.signals.records import stamped
from heliograph.engines.local.delivery import Delivery
from heliograph.models import SIGNALS

_OFTEN = 1_000_000
"""Nanoseconds between two signals that are part of one burst, at most."""

_BURST = 64
_EVERY = 256


def stamp(deliveries: Sequence[Delivery], now: int = 0) -> Sequence[Delivery]:
    """Return deliveries with a time, by default the present one."""
    now = now or monotonic_ns()
    return [(fd, stamped(record, now)) for fd, record in deliveries]


class Stamps:
    """The deliveries of numbers whose receivers never change."""

    def __init__(self) -> None:
        self.direct: list[Delivery | None] = [None] * SIGNALS
        """The deliveries of the fast path, by number. None: use `take`."""
        self._deliveries: dict[int, Sequence[Delivery]] = {}
        self._fast: list[int] = []
        """Numbers with the fast path."""
        self._bursts: dict[int, tuple[int, int]] = {}
        """Number -> signals of the present burst, and time of the last one."""

    def prepare(self, num: int, deliveries: Sequence[Delivery]) -> None:
        """Keep the deliveries of a number."""
        self._deliveries[num] = deliveries

    def restart(self) -> None:
        """Let each signal get a time again, until the next burst."""
        while self._fast:
            self.direct[self._fast.pop()] = None

    def take(self, num: int) -> Sequence[Delivery] | None:
        """Return the deliveries of one signal. None: the number was not prepared."""
        deliveries = self._deliveries.get(num)
        if deliveries is None:
            return None
        burst, then = self._bursts.get(num, (0, 0))
        if burst > _BURST and burst % _EVERY:  # it has several receivers
            self._bursts[num] = burst + 1, then
            return deliveries
        now = monotonic_ns()
        pause = _OFTEN * _EVERY if burst > _BURST else _OFTEN
        burst = burst + 1 if now - then < pause else 1
        self._bursts[num] = burst, now
        if burst > _BURST and len(deliveries) == 1:
            self._bursts[num] = 0, now
            self._fast.append(num)
            self.direct[num] = deliveries[0]
        return stamp(deliveries, now)
