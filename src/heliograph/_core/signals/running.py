"""The signals whose handlers a process runs now, read from its in-flight buffer by any process."""

from __future__ import annotations

from typing import NamedTuple

from heliograph._core.signals.records import RECORD_BYTES, RUNNING, decode


class RunningSignal(NamedTuple):
    """A signal whose handler runs."""

    num: int
    since: int
    """Time at which the handler started, in nanoseconds of CLOCK_MONOTONIC. While many fast handlers run one after the
    other, the time at which the first of them started."""


def running_signals(in_flight: memoryview, batch_since: int) -> list[RunningSignal]:
    """Return the signals whose handlers run, the one that started last at the end. The others wait in them.

    `batch_since` is the time at which the process last began to measure records together: then it writes no time into
    each of them. The process writes to the buffer meanwhile: a record that changes is left out.
    """
    found: list[RunningSignal] = []
    for offset in range(0, len(in_flight), RECORD_BYTES):
        if in_flight[offset] == RUNNING:
            data = bytes(in_flight[offset : offset + RECORD_BYTES])
            if data == bytes(in_flight[offset : offset + RECORD_BYTES]) and data[0] == RUNNING:
                found.append(RunningSignal(data[1], max(decode(data).time, batch_since)))
    return sorted(found, key=lambda signal: signal.since)
