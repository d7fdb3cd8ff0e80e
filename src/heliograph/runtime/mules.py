"""Mules and farms of mules, as targets and to identify this process."""

from __future__ import annotations

from typing import Self

from heliograph import engines
from heliograph._core.signals.targets import parse
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.interfaces import Processes


class Mule:
    """A mule of the server, by its number.

    >>> Mule(1)
    Mule(1)
    """

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:  # noqa: A002 - uwsgiconf has the same name
        """Create a mule.

        Args:
            id: Number of the mule, counted from 1.

        Raises:
            SignalTypeError: The number is not an int.
            TargetError: The number is less than 1.
        """
        if isinstance(id, bool) or not isinstance(id, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SignalTypeError(f"invalid mule: {id!r} ({type(id).__name__}). Pass the number of the mule.", id)
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
        """Return the number of the mule that this process is, 0 if it is not a mule."""
        server: Processes = engines.current()
        process = server.identity
        return process.number if process.role == "mule" else 0

    @classmethod
    def get_current(cls) -> Self | None:
        """Return the mule that this process is, None if it is not a mule."""
        number = cls.get_current_id()
        return cls(number) if number else None


class Farm:
    """A named farm of mules.

    >>> Farm("crunchers", mules=[1, 2])
    Farm('crunchers', mules=[1, 2])
    """

    __slots__ = ("mules", "name")

    def __init__(self, name: str, mules: list[int] | None = None) -> None:
        """Create a farm.

        Args:
            name: Name of the farm.
            mules: Numbers of its mules. They are for information only.

        Raises:
            TargetError: The name cannot be a target.
        """
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
        """Return all farms of the server. Without a server there are none."""
        server: Processes = engines.current()
        topology = server.topology
        return [cls(farm.name, list(farm.mules)) for farm in topology.farms] if topology else []

    @property
    def is_mine(self) -> bool:
        """True if this process is a mule of the farm."""
        server: Processes = engines.current()
        return server.in_farm(self.name)
