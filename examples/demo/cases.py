"""Which signal goes where, and who should get it: rows T1-T7 of the promises."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph import Farm, Mule, TypeTarget

WORKERS = ("worker1", "worker2")
MULES = ("mule1", "mule2")
SPOOLER = "spooler1"
FARM = "crunchers"
"""The farm of both mules."""


@dataclass(frozen=True, slots=True)
class Case:
    """Signal `num` is registered to `target`; each of `receivers` should get it, or one of them."""

    num: int
    target: TypeTarget
    receivers: tuple[str, ...]
    each: bool = False

    @property
    def expected(self) -> str:
        """For people: `worker1` or `mule1 + mule2` or `mule1 | mule2`."""
        return (" + " if self.each else " | ").join(self.receivers)

    def complete(self, handled: list[str]) -> bool:
        """Whether as many have handled it as should."""
        return len(handled) >= (len(self.receivers) if self.each else 1)

    def correct(self, handled: list[str]) -> bool:
        """Whether exactly those have handled it who should, once each."""
        if self.each:
            return sorted(handled) == sorted(self.receivers)
        return len(handled) == 1 and handled[0] in self.receivers


CASES = (
    Case(1, "", WORKERS),
    Case(2, "worker", WORKERS),
    Case(3, "worker0", WORKERS),
    Case(4, "worker1", ("worker1",)),
    Case(5, "worker2", ("worker2",)),
    Case(6, "workers", WORKERS, each=True),
    Case(7, "active-workers", WORKERS, each=True),
    Case(8, "mule", MULES),
    Case(9, "mule0", MULES),
    Case(10, "mule1", ("mule1",)),
    Case(11, "mule2", ("mule2",)),
    Case(12, Mule(2), ("mule2",)),
    Case(13, "mules", MULES, each=True),
    Case(14, "farm1", MULES),
    Case(15, f"farm_{FARM}", MULES),
    Case(16, Farm(FARM), MULES),
    Case(17, "spooler", (SPOOLER,)),
)
"""Raised in worker 1."""

FROM_OUTSIDE = Case(18, "mule1", ("mule1",))
"""Raised by another process, over the server's socket."""

ALL = (*CASES, FROM_OUTSIDE)
