"""Check the processes that a server is to have."""

from __future__ import annotations

from heliograph.models import FarmSpec, Topology


def check_topology(topology: Topology) -> None:
    """Check that a server can have these processes. Raises `ValueError` with the reason otherwise."""
    if not topology.processes():
        raise ValueError("a server needs at least one process. Give it workers, mules or a spooler")
    check_farms(topology)


def check_farms(topology: Topology) -> None:
    """Check that each farm has its own name, and mules that exist, each once. Raises `ValueError`, naming the farm."""
    names: set[str] = set()
    for farm in topology.farms:
        if farm.name in names:
            raise ValueError(f"farm {farm.name!r}: there already is a farm {farm.name!r}. Give each farm its own name")
        names.add(farm.name)
        _check_mules(farm, topology.mules)


def _check_mules(farm: FarmSpec, mules: int) -> None:
    if not farm.mules:
        raise ValueError(f"farm {farm.name!r}: it has no mules. Give it the number of at least one")
    missing = [number for number in farm.mules if not 1 <= number <= mules]
    if missing:
        existing = f"mules 1 to {mules}" if mules > 1 else "mule 1" if mules else "no mules"
        raise ValueError(f"farm {farm.name!r}: there is no mule {missing[0]}. This server has {existing} (--mules)")
    if len(set(farm.mules)) < len(farm.mules):
        raise ValueError(f"farm {farm.name!r}: a mule is in it twice. Name each mule once")
