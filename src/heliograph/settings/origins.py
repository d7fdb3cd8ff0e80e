"""The values of options, and where each came from.

A flag wins over the environment variable, the variable over the configuration file, and the file over the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from heliograph.exceptions import ConfigError
from heliograph.settings.config_file import ConfigFile
from heliograph.settings.file_values import read_value, shown
from heliograph.settings.option_row import Option
from heliograph.settings.option_types import ControlSocket, ListenAddress


class Origin(StrEnum):
    """Kinds of places where a value can stand, the strongest first."""

    FLAG = "flag"
    VARIABLE = "variable"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Held:
    """The value of an option that holds."""

    row: Option
    value: Any
    origin: Origin = Origin.DEFAULT
    label: str = ""
    """Spelling of the option where the value stands: its flag, its variable, or the file and the key."""
    given: str = ""
    """`label` and the value as it stands there. Errors begin with it."""

    @property
    def place(self) -> str:
        """The place where the value stands, for people."""
        return self.label or Origin.DEFAULT


@dataclass(frozen=True, slots=True)
class Places:
    """The places where values stand."""

    flags: Mapping[str, Any]
    """Names of options -> texts from the command line. True or False for flags without a value, several for repeatable
    options."""
    variables: Mapping[str, str]
    file: ConfigFile | None = None
    variable_files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that come from a file -> its path."""

    def hold(self, row: Option) -> Held:
        """Return the value of an option that holds. Raises: ConfigError: it is invalid. The error says where it is."""
        return self._from_flag(row) or self._from_variable(row) or self._from_file(row) or Held(row, row.default)

    def hold_table(self, row: Option) -> Held:
        """Return a value that can stand in the configuration file only."""
        return self._from_file(row) or Held(row, row.default)

    def hold_all(self, rows: Iterable[Option]) -> dict[str, Held]:
        """Return the values of options by their names."""
        return {row.name: self.hold(row) for row in rows}

    def _from_flag(self, row: Option) -> Held | None:
        if row.name not in self.flags:
            return None
        given = self.flags[row.name]

        def read_text(text: str) -> Any:
            return _read(row.type.from_text, text, f"{row.flag} {text}")

        if isinstance(given, str):
            return Held(row, read_text(given), Origin.FLAG, row.flag, f"{row.flag} {given}")
        if row.repeatable:
            return Held(row, tuple(map(read_text, given)), Origin.FLAG, row.flag, row.flag)
        flag = f"--no-{row.flag[2:]}" if given is False else row.flag
        return Held(row, given, Origin.FLAG, flag, flag)

    def _from_variable(self, row: Option) -> Held | None:
        text = self.variables.get(row.variable)
        if not text:
            return None

        path = self.variable_files.get(row.variable)
        label = f"{path}: {row.variable}" if path else row.variable

        def read_text(part: str) -> Any:
            return _read(row.type.from_text, part, f"{label}={part}")

        value = tuple(map(read_text, text.split())) if row.repeatable else read_text(text)
        return Held(row, value, Origin.VARIABLE, label, f"{label}={text}")

    def _from_file(self, row: Option) -> Held | None:
        found = self.file and self.file.find(row)
        if not self.file or not found:
            return None
        key, given = found
        label = f"{self.file.label}: {key}"
        shown_value = f"{label} = {shown(given)}"
        return Held(
            row, _read(lambda value: read_value(row, value), given, shown_value), Origin.FILE, label, shown_value
        )


def without_listening(row: Option) -> Option:
    """Return an option whose address may be in use, for commands that start no server."""
    if isinstance(row.type, ListenAddress | ControlSocket):
        return replace(row, type=replace(row.type, is_free=False))
    return row


def _read(read: Callable[[Any], Any], given: Any, shown_value: str) -> Any:
    try:
        return read(given)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{shown_value}: {error}") from error
