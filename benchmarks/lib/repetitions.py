"""Interleaved repetitions and the statistics over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lib.load_generators import Figures
from lib.peers import Peer
from lib.servers import Server


@dataclass(frozen=True, slots=True)
class Plan:
    """Number and size of the repetitions."""

    repetitions: int
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """Return `full`, or `quick` in a quick run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Case:
    """A peer and the measurement to run on its server. `name` is the name in the tables."""

    name: str
    peer: Peer
    measure: Callable[[Server], Figures]
    mules: int = 1


def interleave(cases: Sequence[Case], repetitions: int) -> dict[str, list[Figures]]:
    """Measure in the order A B C A B C ..., each time on a fresh server, so that drift affects all cases equally."""
    found: dict[str, list[Figures]] = {case.name: [] for case in cases}
    for _ in range(repetitions):
        for case in cases:
            with case.peer.start(case.mules) as server:
                found[case.name].append(case.measure(server))
    return found


def each(found: Mapping[str, list[Figures]], figure: Callable[[Figures], float]) -> dict[str, list[float]]:
    """Return one number per repetition for every case."""
    return {name: [figure(figures) for figures in repetitions] for name, repetitions in found.items()}


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile of `values`, with `percent` from 1 to 100."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median of the ratios within each repetition, so that a slow minute affects both values."""
    return median([value / other for value, other in zip(values, reference, strict=True)])
