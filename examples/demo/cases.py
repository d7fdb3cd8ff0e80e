"""The signals, their targets, and the processes that should handle them."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph import Farm, Mule, TypeTarget

WORKERS = ("worker1", "worker2")
MULES = ("mule1", "mule2")
SPOOLER = "spooler1"
FARM = "crunchers"
"""The farm with both mules."""


@dataclass(frozen=True, slots=True)
class Case:
    """A signal and its target. One of `receivers` should handle it, or with `each` all of them."""

    num: int
    target: TypeTarget
    receivers: tuple[str, ...]
    each: bool = False

    @property
    def expected(self) -> str:
        """Text for the table: `worker1`, `mule1 + mule2` (both) or `mule1 | mule2` (one of them)."""
        return (" + " if self.each else " | ").join(self.receivers)

    def complete(self, handled: list[str]) -> bool:
        """Return True if enough processes have handled it."""
        return len(handled) >= (len(self.receivers) if self.each else 1)

    def correct(self, handled: list[str]) -> bool:
        """Return True if exactly the expected processes have handled it, once each."""
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
"""Signals that worker 1 sends."""

FROM_OUTSIDE = Case(18, "mule1", ("mule1",))
"""Signal that another process sends through the remote socket of the server."""

ALL = (*CASES, FROM_OUTSIDE)
