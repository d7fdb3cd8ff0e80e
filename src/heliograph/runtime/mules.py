"""Mules and farms of mules: as targets, and to ask who one is."""

from __future__ import annotations

from typing import Self

from heliograph import engines
from heliograph._core.signals.targets import parse
from heliograph.exceptions import SignalTypeError, TargetError


class Mule:
    """A mule of this server, by its number.

    >>> Mule(1)
    Mule(1)
    """

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:  # noqa: A002 - the name that uwsgiconf has
        """`id` counts from 1. Raises `SignalTypeError` or `TargetError` for what is no such number."""
        if isinstance(id, bool) or not isinstance(id, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SignalTypeError(f"a mule is named by its number, not {id!r} ({type(id).__name__})", id)
        if id < 1:
            raise TargetError(f"mule{id}", "mules are counted from 1")
        self.id = id

    def __str__(self) -> str:
        return f"{self.id}"

    def __repr__(self) -> str:
        return f"Mule({self.id})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mule) and other.id == self.id

    def __hash__(self) -> int:
        return hash((Mule, self.id))

    @classmethod
    def get_current_id(cls) -> int:
        """Number of the mule that this process is; 0 if it is none."""
        process = engines.current().identity
        return process.number if process.role == "mule" else 0

    @classmethod
    def get_current(cls) -> Self | None:
        """The mule that this process is; None if it is none."""
        number = cls.get_current_id()
        return cls(number) if number else None


class Farm:
    """A named farm of mules.

    >>> Farm("crunchers", mules=[1, 2])
    Farm('crunchers', mules=[1, 2])
    """

    __slots__ = ("mules", "name")

    def __init__(self, name: str, mules: list[int] | None = None) -> None:
        """`mules` are the numbers of its mules. Raises `TargetError` for a name that cannot be a target."""
        parse(f"farm_{name}", None)
        self.name = name
        self.mules = tuple(Mule(number) for number in mules or ())

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(map(str, self.mules))}"

    def __repr__(self) -> str:
        return f"Farm({self.name!r}, mules={[mule.id for mule in self.mules]})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Farm) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Farm, self.name))

    @classmethod
    def get_farms(cls) -> list[Self]:
        """All farms of this server; none where there is no server."""
        topology = engines.current().topology
        return [cls(farm.name, list(farm.mules)) for farm in topology.farms] if topology else []

    @property
    def is_mine(self) -> bool:
        """Whether this process is a mule of the farm."""
        return engines.current().in_farm(self.name)
