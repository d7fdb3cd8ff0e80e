"""Mules and farms of mules: as targets, to identify this process, to send messages and to offload calls.

A call of an offloaded function is a task of that mule or farm: once it was stored it runs, whatever is killed. A
message waits in the store until `get_message` takes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Self, overload

from heliograph import engines
from heliograph._core.signals.targets import parse
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.interfaces import Processes

_P = ParamSpec("_P")

MAX_MESSAGE_BYTES = 1024 * 1024
"""Bytes of the longest message that `get_message` takes by default: every one that can be sent."""


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

    @overload
    def offload(self, func: Callable[_P, object], /) -> Callable[_P, bool]: ...
    @overload
    def offload(
        self, func: None = None, /, *, allow_pickle: bool = False
    ) -> Callable[[Callable[_P, object]], Callable[_P, bool]]: ...
    def offload(self, func: Callable[_P, object] | None = None, /, *, allow_pickle: bool = False) -> Any:
        """Decorator: run calls of the function in this mule. See `mule_offload`."""
        decorate = mule_offload(self, allow_pickle=allow_pickle)
        return decorate if func is None else decorate(func)

    def send(self, message: str | bytes) -> bool:
        """Send a message to this mule. It waits until the mule calls `get_message`. Return True.

        Raises:
            TargetError: The server does not have the mule.
            SignalTypeError: The message is neither text nor bytes.
            TaskArgumentError: The message is too large, or no text in UTF-8.
            NoEngine, ServerNotReady, StoreError: See `Task.enqueue`.
        """
        return _send(f"mule{self.id}", message)

    @classmethod
    def get_message(
        cls, *, signals: bool = True, farms: bool = False, buffer_size: int = MAX_MESSAGE_BYTES, timeout: float = -1
    ) -> str:
        """Take the next message to the mule that this process is. Wait for it.

        Call it in a thread, since a mule that waits in its main thread takes neither signals nor tasks.

        Args:
            signals: Ignored. The main thread of the mule takes signals.
            farms: Also take messages to the farms of this mule.
            buffer_size: Bytes of the longest message to take.
            timeout: Seconds to wait. -1: no limit. If there was no message in time, return an empty text.

        Raises:
            TargetError: This process is no mule.
            TaskArgumentError: The message is longer than `buffer_size`. It stays in the store.
            StoreError: The store cannot be read.
        """
        del signals
        number = _mule_number()
        return _receive([f"mule{number}", *(_farms_of(number) if farms else ())], buffer_size, timeout)


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

    @overload
    def offload(self, func: Callable[_P, object], /) -> Callable[_P, bool]: ...
    @overload
    def offload(
        self, func: None = None, /, *, allow_pickle: bool = False
    ) -> Callable[[Callable[_P, object]], Callable[_P, bool]]: ...
    def offload(self, func: Callable[_P, object] | None = None, /, *, allow_pickle: bool = False) -> Any:
        """Decorator: run calls of the function in a mule of this farm. See `mule_offload`."""
        decorate = mule_offload(self, allow_pickle=allow_pickle)
        return decorate if func is None else decorate(func)

    def send(self, message: str | bytes) -> bool:
        """Send a message to this farm. One of its mules takes it by `get_message`. See `Mule.send`."""
        return _send(f"farm_{self.name}", message)

    @classmethod
    def get_message(cls) -> str:
        """Take the next message to a farm of the mule that this process is. Wait for it. See `Mule.get_message`."""
        number = _mule_number()
        return _receive(_farms_of(number), MAX_MESSAGE_BYTES, -1)


TypeMuleFarm = int | str | Mule | Farm
"""A mule or its number, a farm or its name."""


@overload
def mule_offload(func: Callable[_P, object], /) -> Callable[_P, bool]: ...
@overload
def mule_offload(
    mule_or_farm: TypeMuleFarm | None = None, *, allow_pickle: bool = False
) -> Callable[[Callable[_P, object]], Callable[_P, bool]]: ...
def mule_offload(mule_or_farm: Any = None, *, allow_pickle: bool = False) -> Any:
    """Decorator: run calls of the function in a mule. A call stores a task and returns True.

    `@mule_offload` without parentheses means mule 1.

    Args:
        mule_or_farm: A mule or its number, a farm or its name. Default: mule 1.
        allow_pickle: Pickle the arguments, so that they may have any type. Otherwise they have types of JSON, and those
            that the annotations of the function say. A pickle runs code of whoever can write to the store.

    Raises:
        TargetError: The server does not have the mule or farm.
        InvalidTask: The function cannot be a task.
        RegistrationError: This process cannot register for the other processes.
    """
    is_bare = callable(mule_or_farm)
    target = _target(None if is_bare else mule_or_farm)

    def decorate(func: Callable[_P, object]) -> Callable[_P, bool]:
        from heliograph.runtime.task_calls import enqueue_call, task_of_calls  # noqa: PLC0415 - it needs msgspec

        task = task_of_calls(func, allow_pickle=allow_pickle, conclude=_no_value, target=target)

        @functools.wraps(func)
        def offloaded(*args: _P.args, **kwargs: _P.kwargs) -> bool:
            enqueue_call(task, args, kwargs, allow_pickle=allow_pickle)
            return True

        return offloaded

    return decorate(mule_or_farm) if is_bare else decorate


def _target(mule_or_farm: Any) -> str:
    found = mule_or_farm or 1
    if isinstance(found, str):
        found = Farm(found)
    elif not isinstance(found, Mule | Farm):
        found = Mule(found)
    return f"farm_{found.name}" if isinstance(found, Farm) else f"mule{found.id}"


def _no_value(_result: object) -> None:
    """Keep no value: nobody can ask for it."""


def _mule_number() -> int:
    number = Mule.get_current_id()
    if not number:
        raise TargetError(str(engines.current().identity), "only a mule gets messages")
    return number


def _farms_of(number: int) -> list[str]:
    return [f"farm_{farm.name}" for farm in Farm.get_farms() if Mule(number) in farm.mules]


def _send(target: str, message: str | bytes) -> bool:
    from heliograph.runtime.messages import send  # noqa: PLC0415 - it needs msgspec

    send(target, message)
    return True


def _receive(targets: list[str], longest: int, timeout: float) -> str:
    from heliograph.runtime.messages import receive  # noqa: PLC0415 - it needs msgspec

    return receive(targets, longest, timeout) or ""
