"""Interleaved repetitions, and what is made of their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lib.load_generators import Figures
from lib.peers import Peer
from lib.servers import Server


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure."""

    repetitions: int
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """How many of something to do."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Case:
    """A peer and what its server is asked to do; `name` stands in the tables."""

    name: str
    peer: Peer
    measure: Callable[[Server], Figures]
    mules: int = 1


def interleave(contestants: Sequence[Case], repetitions: int) -> dict[str, list[Figures]]:
    """A B C A B C ..., each time on a fresh server: what drifts on the machine hits all of them."""
    found: dict[str, list[Figures]] = {contestant.name: [] for contestant in contestants}
    for _ in range(repetitions):
        for contestant in contestants:
            with contestant.peer.start(contestant.mules) as server:
                found[contestant.name].append(contestant.measure(server))
    return found


def each(found: Mapping[str, list[Figures]], figure: Callable[[Figures], float]) -> dict[str, list[float]]:
    """One number a repetition, for every contestant."""
    return {name: [figure(figures) for figures in repetitions] for name, repetitions in found.items()}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` of all (1-100) do not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios within each repetition, so that a slow minute counts for both."""
    return median([value / other for value, other in zip(values, reference, strict=True)])
