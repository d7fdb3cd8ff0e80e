"""The commands that a server runs besides its own processes: `[commands]` in the configuration file.

```toml
[commands]
assets = "npm run watch"
bot = { command = ["python", "bot.py"], restart = "on-failure", directory = "bot", environment = { LEVEL = "debug" } }
```
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from heliograph.exceptions import ConfigError
from heliograph.settings.file_values import kind_of, shown
from heliograph.settings.nearest import nearest
from heliograph.settings.option_types import Words
from heliograph.settings.web_server_command import find_command

ALWAYS, ON_FAILURE, NEVER = "always", "on-failure", "never"
RESTART, HANG_UP, LEAVE = "restart", "hang-up", "leave"
RESTARTS, RELOADS = (ALWAYS, ON_FAILURE, NEVER), (RESTART, HANG_UP, LEAVE)

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ROLE_NAME = re.compile(r"(master|worker|mule|spooler|webserver|web-server|command|external)[0-9]*")
BUILT_IN = ("status-page", "reloader")
"""Names of commands that the server itself adds."""
_OF_A_SHELL = re.compile(r"[|&;<>]+|.*\$.*|.*`.*")
_ASSIGNMENT = re.compile(r"\w+=.*")
"""Words that mean something to a shell only."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program that the master starts, restarts and stops."""

    name: str
    argv: tuple[str, ...]
    restart: str = ALWAYS
    """always, on-failure (not after exit code 0) or never."""
    reload: str = RESTART
    """Effect of a reload. restart: stop it and start it again. hang-up: send SIGHUP. leave: none."""
    directory: Path = Path()
    """Working directory. It is relative to that of the server."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Variables that it has besides those of the server."""
    descriptors: tuple[int, ...] = ()
    """Descriptors of the master that it inherits."""

    @property
    def place(self) -> str:
        """Its key in the configuration file."""
        return f"commands.{self.name}"


def read_commands(label: str, table: object) -> tuple[Command, ...]:
    """Return the commands of a table. `label` is the place of the table, for errors. Raises: ConfigError."""
    if not isinstance(table, Mapping):
        raise ConfigError(
            f'{label} = {shown(table)}: it is {kind_of(table)}. Use a table such as {{bot = "python bot.py"}}'
        )
    rows = cast("Mapping[str, object]", table).items()
    return tuple(_command(_Place(f"{label}.{name}", value), name) for name, value in rows)


def check_commands(label: str, commands: Iterable[Command]) -> None:
    """Check that the programs and the directories exist. Raises: ConfigError."""
    for command in commands:
        if not command.directory.is_dir():
            raise ConfigError(f"{label}.{command.name}: not a directory: {str(command.directory)!r}. Create it")
        if not _is_program(command):
            raise ConfigError(f"{label}.{command.name}: command not found: {command.argv[0]!r}")


@dataclass(frozen=True, slots=True)
class _Place:
    """A value in a table, and its place for errors."""

    label: str
    value: object

    def error(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.label} = {shown(self.value)}: {reason}")

    def items(self) -> Iterator[tuple[str, _Place]]:
        for key, value in cast("Mapping[str, object]", self.value).items():
            yield key, _Place(f"{self.label}.{key}", value)


def _command(place: _Place, name: str) -> Command:
    if not _NAME.fullmatch(name):
        raise place.error("not a name of a command. Use small letters, digits and -, and a letter first")
    if _ROLE_NAME.fullmatch(name) or name in BUILT_IN:
        raise place.error(f"the name means another process: {name}. Use another one")
    if not isinstance(place.value, Mapping):
        return Command(name, _words(place))
    given = dict(place.items())
    for key, value in given.items():
        if key not in _KEYS:
            raise value.error(f"unknown key. {nearest(key, _KEYS, 'one of')}")
    if "command" not in given:
        raise place.error('it has no command. Add command = "..."')
    argv = _words(given.pop("command"))
    return Command(name, argv, **{key: _KEYS[key](value) for key, value in given.items()})


def _words(place: _Place) -> tuple[str, ...]:
    is_text = isinstance(place.value, str)
    if type(place.value) not in {str, list, tuple}:
        raise place.error(f'it is {kind_of(place.value)}. Use a text, or a list of words such as ["python", "bot.py"]')
    try:
        words = Words().from_text(str(place.value)) if is_text else Words().from_value(cast("Any", place.value))
    except ValueError as error:
        raise place.error(str(error)) from error
    if not words or not words[0]:
        raise place.error('it is empty. Use a text such as "python bot.py"')
    if is_text and (found := _of_a_shell(words)):
        raise place.error(f'no shell runs it, and {found} is for a shell. Use a list: ["sh", "-c", "..."]')
    return words


def _of_a_shell(words: tuple[str, ...]) -> str:
    """Return the first word that only a shell understands, or an empty text."""
    return words[0] if _ASSIGNMENT.fullmatch(words[0]) else next(filter(_OF_A_SHELL.fullmatch, words), "")


def _one_of(words: tuple[str, ...]) -> Callable[[_Place], str]:
    def read(place: _Place) -> str:
        if place.value not in words:
            raise place.error(f"unknown word. {nearest(str(place.value), words, 'one of')}")
        return str(place.value)

    return read


def _directory(place: _Place) -> Path:
    if not isinstance(place.value, str | Path) or not str(place.value):
        raise place.error(f"it is {kind_of(place.value)}. Use the path of a directory")
    return Path(place.value)


def _environment(place: _Place) -> Mapping[str, str]:
    if not isinstance(place.value, Mapping):
        raise place.error(f'it is {kind_of(place.value)}. Use a table such as {{LEVEL = "debug"}}')
    found = dict(place.items())
    for name, value in found.items():
        if not isinstance(value.value, str):
            raise value.error(f"it is {kind_of(value.value)}. Use a text in quotes")
        if not name or "=" in name or "\0" in name + value.value:
            raise value.error("not a variable. Use a name without =")
    return MappingProxyType({name: str(value.value) for name, value in found.items()})


_KEYS: dict[str, Callable[[_Place], Any]] = {
    "command": _words,
    "restart": _one_of(RESTARTS),
    "reload": _one_of(RELOADS),
    "directory": _directory,
    "environment": _environment,
}


def _is_program(command: Command) -> bool:
    """Return True if the program exists. A relative path with a slash begins in the directory of the command."""
    program = command.argv[0]
    if "/" in program:
        path = command.directory / program
        return path.is_file() and os.access(path, os.X_OK)
    return find_command(program) is not None
