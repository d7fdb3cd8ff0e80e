"""Histograms of durations: 32 buckets whose upper bounds are powers of two, from 1 microsecond to 36 minutes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

BUCKETS = 32

UPPER_BOUNDS = tuple((1 << number) / 1e6 for number in range(BUCKETS))
"""Upper bound of each bucket in seconds. The bound belongs to its bucket. The last bucket also has all longer ones."""

WORDS = BUCKETS + 1
"""64-bit words of a histogram in shared memory: one for each bucket, then the sum of the durations in nanoseconds."""


def bucket_of(nanoseconds: int) -> int:
    """Return the index of the bucket of a duration. Durations of 0 and less belong to the first one."""
    bucket = ((nanoseconds - 1) // 1000).bit_length() if nanoseconds > 0 else 0
    return bucket if bucket < BUCKETS else BUCKETS - 1  # `min` takes twice as long


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers of durations by bucket."""

    counts: tuple[int, ...] = (0,) * BUCKETS
    """Number of durations in each bucket alone."""
    nanoseconds: int = 0
    """Sum of the durations."""

    @classmethod
    def of(cls, words: Sequence[int]) -> Self:
        """Return the histogram that `WORDS` words of shared memory hold."""
        return cls(tuple(words[:BUCKETS]), words[BUCKETS])

    @property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.counts)

    @property
    def total(self) -> float:
        """Sum of the durations in seconds."""
        return self.nanoseconds / 1e9

    def rows(self) -> tuple[tuple[float, int], ...]:
        """Return upper bound in seconds and number of durations of each bucket that is not empty."""
        return tuple(row for row in zip(UPPER_BOUNDS, self.counts, strict=True) if row[1])

    def quantile(self, share: float) -> float | None:
        """Return the duration in seconds that this share (0 to 1) of the durations does not exceed. None: no durations.

        It is interpolated within its bucket, so it can be wrong by a factor of two. It never exceeds the sum of all.
        """
        return self.quantiles(share)[0]

    def quantiles(self, *shares: float) -> tuple[float | None, ...]:
        """Return several quantiles at once, which is faster."""
        reached = list(accumulate(self.counts))
        if not reached[-1]:
            return (None,) * len(shares)
        return tuple(self._quantile(share * reached[-1], reached) for share in shares)

    def _quantile(self, rank: float, reached: Sequence[int]) -> float:
        bucket = bisect_left(reached, max(rank, 1))
        lower = UPPER_BOUNDS[bucket - 1] if bucket else 0.0
        before = reached[bucket] - self.counts[bucket]
        part = (rank - before) / self.counts[bucket]
        found = lower + (UPPER_BOUNDS[bucket] - lower) * max(part, 0.0)
        longest = max(lower, self.total)
        return min(found, longest)

    def plus(self, other: Histogram) -> Histogram:
        """Return the histogram of the durations of both."""
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return Histogram(counts, self.nanoseconds + other.nanoseconds)
