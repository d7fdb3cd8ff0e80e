"""Times and outcomes of the attempts of each function, since the store was made.

What the figures mean
    Waited: the time from the moment at which an attempt could begin (enqueued, `run_after`, the end of the pause before
    another attempt) to its begin. Attempts after the end of a process, or after `heliograph tasks retry`, are left out,
    because their rows do not have that moment.
    Run: the time from the begin of an attempt to its end.
    Both are differences of the system's clock, in microseconds. An attempt that was interrupted by a stop, a reload or
    the end of its process has no times and no outcome.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Self

from heliograph._core.records import record
from heliograph._core.stats.histogram import BUCKETS, WORDS, Histogram
from heliograph._core.tasks.values import Claim, TaskStatus

KEPT = 30 * 86_400_000_000
"""Microseconds for which the timings of a function are kept after its last attempt."""

OUTCOMES: tuple[TaskStatus, ...] = (
    TaskStatus.SUCCESSFUL,
    TaskStatus.FAILED,
    TaskStatus.READY,
    TaskStatus.DEAD,
    TaskStatus.CANCELLED,
    TaskStatus.EXPIRED,
)
"""Outcomes of an attempt, in the order of their words. READY: another attempt follows."""

_RAN, _COUNTS = WORDS, 2 * WORDS
_LENGTH = _COUNTS + len(OUTCOMES)
_PLACE = {status: _COUNTS + number for number, status in enumerate(OUTCOMES)}


@record
class TaskTimings:
    """Times and outcomes of the attempts of a function."""

    waited: Histogram
    ran: Histogram
    outcomes: Mapping[TaskStatus, int]
    """Number of attempts by their outcome. READY: another attempt follows. Outcomes without attempts are left out."""


class TimingWords:
    """The timings of one function as words, which add up. Their sums of times are microseconds: nanoseconds of a clock
    that was set ahead by years would not fit."""

    __slots__ = ("words",)

    def __init__(self, data: bytes = b"") -> None:
        """Begin with nothing, or with what `to_bytes` returned."""
        self.words = array("q", data).tolist() if data else [0] * _LENGTH

    def add(self, claim: Claim, claimed_at: int, begun: int, ended: int, status: TaskStatus) -> None:
        """Count an attempt, which was claimed, begun and ended at these times."""
        words, could_begin, first = self.words, claim.run_after, claim.first_attempt_at
        if first == claimed_at and could_begin < claim.enqueued_at:
            could_begin = claim.enqueued_at
        if could_begin > first or first == claimed_at:  # else it is not known when it could begin
            waited = begun - could_begin
            if waited > 0:
                words[min((waited - 1).bit_length(), BUCKETS - 1)] += 1
                words[BUCKETS] += waited
            else:
                words[0] += 1
        ran = ended - begun
        if ran > 0:
            words[_RAN + min((ran - 1).bit_length(), BUCKETS - 1)] += 1
            words[_RAN + BUCKETS] += ran
        else:
            words[_RAN] += 1
        words[_PLACE[status]] += 1

    def plus(self, other: Self) -> Self:
        """Return the sum."""
        found = type(self)()
        found.words = list(map(int.__add__, self.words, other.words))
        return found

    def to_bytes(self) -> bytes:
        """Return the words as they are stored."""
        return array("q", self.words).tobytes()

    def timings(self) -> TaskTimings:
        """Return them for reading."""
        words = self.words
        outcomes = {status: words[place] for status, place in _PLACE.items() if words[place]}
        return TaskTimings(_histogram(words, 0), _histogram(words, _RAN), outcomes)


def _histogram(words: list[int], start: int) -> Histogram:
    return Histogram(tuple(words[start : start + BUCKETS]), 1000 * words[start + BUCKETS])
