"""Types of options: read a value from text (command, environment), or check one that a program passed to `serve()`.

Both methods return the value as it stands in `ServerSettings`, and raise `ValueError` with the reason.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from heliograph._core.signals.registry import check_num
from heliograph._core.signals.targets import parse
from heliograph._core.sizes import parse_duration, parse_size
from heliograph.models import FarmSpec
from heliograph.settings.addresses import Address

_MIN_SIZE = 1 << 20
_FARM = re.compile(r"(?P<name>[\w.-]+)=(?P<mules>[0-9]+(,[0-9]+)*)")


class OptionType(Protocol):
    """Reads and checks the values of an option."""

    def from_text(self, text: str) -> Any:
        """Read the value from a command line or an environment variable."""
        ...

    def from_value(self, value: Any) -> Any:
        """Check a value of a program."""
        ...


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number, not less than `minimum`."""

    minimum: int = 0

    def from_text(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"it is not a number. Use {self.minimum} or more") from None
        return self.from_value(number)

    def from_value(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"it is not an int. Use {self.minimum} or more")  # noqa: TRY004 - one type for all reasons
        if value < self.minimum:
            raise ValueError(f"it is too small. Use {self.minimum} or more")
        return value


class WorkerRange(NamedTuple):
    """Numbers of workers between which a server adapts."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}..{self.most}"


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """A number of workers, or the least and the most number: `4`, `2..16`. A program may pass a pair as well."""

    def from_text(self, text: str) -> int | WorkerRange:
        least, dots, most = text.partition("..")
        if not dots:
            return Integer().from_text(text)
        if not (least.isdecimal() and most.isdecimal()):
            raise ValueError("it is not a number of workers. Use N or MIN..MAX, for example 2..16")
        return _range(int(least), int(most))

    def from_value(self, value: Any) -> int | WorkerRange:
        if isinstance(value, str) and ".." in value:
            return self.from_text(value)
        if isinstance(value, tuple | list) and len(cast("Sequence[object]", value)) == len(WorkerRange._fields):
            least, most = map(Integer().from_value, cast("Sequence[object]", value))
            return _range(least, most)
        return Integer().from_value(value)


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time in seconds, 0 or more."""

    def from_text(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise ValueError("it is not a number. Use seconds, 0 or more") from None
        return self.from_value(number)

    def from_value(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError("it is not a time. Use seconds, 0 or more")
        return float(value)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes, also as `200M` or `1.5G`. 0: no limit."""

    def from_text(self, text: str) -> int:
        return self.from_value(parse_size(text))

    def from_value(self, value: Any) -> int:
        if isinstance(value, str):
            return self.from_text(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError("it is not a size. Use a number of bytes, or K, M or G as in 200M")
        if 0 < value < _MIN_SIZE:
            raise ValueError("it is too small. Use 1M or more, for example 200M")
        return value


@dataclass(frozen=True, slots=True)
class Duration:
    """A time in seconds, also as `30m`, `12h` or `7d`. 0: no limit."""

    def from_text(self, text: str) -> float:
        return self.from_value(parse_duration(text))

    def from_value(self, value: Any) -> float:
        if isinstance(value, str):
            return self.from_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError("it is not a duration. Use seconds, or s, m, h or d as in 12h")
        if 0 < value < 1:
            raise ValueError("it is too small. Use 1s or more, for example 12h")
        return float(value)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or False. On the command line a flag has no value, and `from_text` reads a variable."""

    def from_text(self, text: str) -> bool:
        words = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        if text.lower() not in words:
            raise ValueError("it is neither true nor false. Use 1 or 0")
        return words[text.lower()]

    def from_value(self, value: Any) -> bool:
        return bool(value)


@dataclass(frozen=True, slots=True)
class Text:
    """Any text that is not empty."""

    def from_text(self, text: str) -> str:
        return self.from_value(text)

    def from_value(self, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("it is not a text. Use letters, digits, dots and dashes")
        return value


@dataclass(frozen=True, slots=True)
class Words:
    """A command: its words, or a text that is split as a shell does."""

    def from_text(self, text: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            raise ValueError(f"it cannot be split into words ({error}). Use the quotes of a shell") from None

    def from_value(self, value: Any) -> tuple[str, ...]:
        if not all(isinstance(word, str) for word in value):
            raise ValueError('not all of its words are texts. Use a list such as ["gunicorn", "-w", "4"]')
        return tuple(value)


@dataclass(frozen=True, slots=True)
class CommandTable:
    """A table of commands. `settings.commands` reads it."""

    def from_text(self, text: str) -> Any:
        raise ValueError(f"it is a text: {text}. Use a table")

    def from_value(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def from_text(self, text: str) -> str:
        return self.from_value(text)

    def from_value(self, value: Any) -> str:
        if value not in self.words:
            raise ValueError(f"it is not one of the choices. Use {', '.join(self.words[:-1])} or {self.words[-1]}")
        return str(value)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address that a server can listen at."""

    is_free: bool = True
    """True: check that the server can listen there now. False: check only that it is an address."""

    def from_text(self, text: str) -> Address:
        address = Address.parse(text)
        if self.is_free:
            address.check_listenable()
        return address

    def from_value(self, value: Any) -> Address:
        return self.from_text(str(value))


@dataclass(frozen=True, slots=True)
class ControlSocket:
    """The path of a Unix socket that a server can create. The value is absolute."""

    is_free: bool = True
    """True: check that the server can listen there now."""

    def from_text(self, text: str) -> Path:
        return self.from_value(text)

    def from_value(self, value: Any) -> Path:
        path = Path(value).absolute()
        if self.is_free:
            Address(path=str(path)).check_listenable()
        return path


@dataclass(frozen=True, slots=True)
class SignalNumbers:
    """Numbers of signals, `17,18`."""

    def from_text(self, text: str) -> frozenset[int]:
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            raise ValueError("these are not signal numbers. Use numbers from 0 to 255, 17,18") from None
        return self.from_value(numbers)

    def from_value(self, value: Iterable[int]) -> frozenset[int]:
        return frozenset(check_num(num) for num in value)


@dataclass(frozen=True, slots=True)
class Farm:
    """A farm, `NAME=1,2`. A program passes all its farms at once, as a mapping of names to the numbers of mules."""

    def from_text(self, text: str) -> FarmSpec:
        found = _FARM.fullmatch(text)
        if found is None:
            raise ValueError("it is not a farm. Use NAME=1,2: a name, and the numbers of its mules")
        return _farm(found["name"], [int(number) for number in found["mules"].split(",")])

    def from_value(self, value: Any) -> tuple[FarmSpec, ...]:
        if not isinstance(value, Mapping):
            raise ValueError("it is not a mapping. Use names, each with the numbers of its mules")  # noqa: TRY004
        farms = cast("Mapping[str, Sequence[int]]", value)
        return tuple(_farm(name, mules) for name, mules in farms.items())


def _range(least: int, most: int) -> int | WorkerRange:
    if least < 1:
        raise ValueError("MIN is too small. Use 1 or more")
    if least > most:
        raise ValueError("MIN is greater than MAX. Use MIN..MAX, for example 2..16")
    return least if least == most else WorkerRange(least, most)


def _farm(name: str, mules: Sequence[int]) -> FarmSpec:
    parse(f"farm_{name}", None)  # raises an error for a name that a target cannot have
    return FarmSpec(name, tuple(mules))
