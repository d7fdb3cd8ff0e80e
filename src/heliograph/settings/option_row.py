"""The rows of the table of options: spelling, type and meaning of each option.

A class of options is a frozen dataclass. A field of it that is made with `option()` is a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from heliograph.settings.option_types import OptionType

LOCAL, UWSGI = "local", "uwsgi"
ENGINES = (LOCAL, UWSGI)
"""Engines that `heliograph run` can start a server for."""

RESERVED_VARIABLES = (
    "HELIOGRAPH_ENGINE",
    "HELIOGRAPH_MASTER",
    "HELIOGRAPH_INHERITED",
    "HELIOGRAPH_TASKS",
    "HELIOGRAPH_COMMAND_NAME",
    "HELIOGRAPH_RELOADER",
    "HELIOGRAPH_SETTLE",
)
"""Environment variables with another meaning, which no option can have."""


@dataclass(frozen=True, slots=True)
class Option:
    """A row of the table: spelling, type and meaning of an option."""

    type: OptionType
    help: str
    """One line for `--help`, with the unit."""
    metavar: str = ""
    """Placeholder of the value in the help. A flag without a value has none."""
    details: str = ""
    """More sentences for the reference."""
    engines: tuple[str, ...] = ENGINES
    instead: str = ""
    """Advice for the other engine."""
    shown_default: str = ""
    """Text for the default, if the value itself is not to be shown."""
    aliases: tuple[str, ...] = ()
    """Further flags, which `--help` does not show."""
    repeatable: bool = False
    """True if the flag can be given several times. The variable then has the values separated by spaces."""
    keyword: bool = True
    """True if `serve()` has a keyword of this name."""
    variable: str = ""
    """Environment variable. Empty: HELIOGRAPH_ and the flag's name."""
    flag: str = ""
    """Empty: the name."""
    name: str = ""
    """Field of `ServerSettings`, and keyword of `serve()`."""
    default: Any = None

    @property
    def default_text(self) -> str:
        """The default for people, empty if there is none."""
        if self.shown_default or isinstance(self.default, bool):
            return self.shown_default
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return str(self.default) if isinstance(self.default, int | str) else ""


def option(type: OptionType, default: Any, help: str, metavar: str = "", **row: Any) -> Any:  # noqa: A002
    """Declare an option as a field of `ServerSettings`. `row` are the other attributes of `Option`."""
    return field(default=default, metadata={"option": Option(type, help, metavar, **row)})


def options_of(settings: type[Any]) -> tuple[Option, ...]:
    """Return the rows of a table, with the attributes that follow from the field's name."""
    return tuple(
        _complete(found.metadata["option"], found.name, found.default)
        for found in fields(settings)
        if "option" in found.metadata
    )


def _complete(row: Option, name: str, default: Any) -> Option:
    flag = row.flag or f"--{name.replace('_', '-')}"
    return replace(
        row,
        name=name,
        default=default,
        flag=flag,
        variable=row.variable or f"HELIOGRAPH_{flag[2:].replace('-', '_').upper()}",
    )
