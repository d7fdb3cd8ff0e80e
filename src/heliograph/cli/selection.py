"""The server that a command means: by its flags, else by the variables and the configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import click

from heliograph.cli.errors import CommandError
from heliograph.cli.files import enter, read_config
from heliograph.cli.options import help_line
from heliograph.exceptions import ConfigError
from heliograph.settings.arguments import CHDIR, CONFIG, ENV_FILE
from heliograph.settings.option_types import Text
from heliograph.settings.options import OPTIONS
from heliograph.settings.origins import Origin

_F = TypeVar("_F", bound=Callable[..., object])

_FLAGS, _SELECTION = "heliograph.selection.flags", "heliograph.selection"
"""Keys in the `meta` of click's context: the flags that were given, and the selection that follows."""

_HELP = {
    "name": "Server name. Default: the server started in this directory.",
    "control": "Control socket of the server, if it was started with --control.",
    "spooler": "Directory of the tasks, as given to `heliograph run`.",
}

# The server has checked the values when it started. A command takes them as they stand.
_ROWS = {row.name: replace(row, type=Text(), default=None) for row in OPTIONS if row.name in _HELP}

_ENGINE = next(row for row in OPTIONS if row.name == "engine")

_FOR_TASKS = tuple(row for row in OPTIONS if row.name in {"any_filesystem", "task_sync", "task_bytes"})
"""Options that also apply to processes without a server, which read their variables."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The values that select a server. None: it is not given."""

    name: str | None = None
    control: str | None = None
    spooler: str | None = None


def selection_options(*names: str) -> Callable[[_F], _F]:
    """Add options that select the server, and those of the directory and the configuration file."""

    def decorate(command: _F) -> _F:
        for row in reversed((*(_ROWS[name] for name in names), CONFIG, CHDIR, ENV_FILE)):
            command = click.option(
                *(row.flag, row.name),
                metavar=row.metavar,
                expose_value=False,
                callback=_keep,
                help=_HELP.get(row.name) or help_line(row),
            )(command)
        return command

    return decorate


def selection() -> Selection:
    """Return the server that the flags of this command select, else its variables and the configuration file.

    Raises:
        CommandError: The configuration file or one of the values cannot be used.
    """
    meta = click.get_current_context().meta
    if _SELECTION not in meta:
        try:
            meta[_SELECTION] = _selection(meta.get(_FLAGS, {}))
        except ConfigError as error:
            raise CommandError(str(error)) from error
    found: Selection = meta[_SELECTION]
    return found


def selected_engine() -> str:
    """Return the engine of the server, as far as the variables and the configuration file say: `local` by default."""
    flags = click.get_current_context().meta.get(_FLAGS, {})
    files = enter(flags)
    read_config(files, flags)
    return str(files.places({}).hold(_ENGINE).value)


def _selection(flags: dict[str, str]) -> Selection:
    files = enter(flags)
    if given := {name: value for name, value in flags.items() if name in _HELP}:
        return Selection(**given)
    read_config(files, flags)
    places = files.places({})
    for row in _FOR_TASKS:
        if (held := places.hold(row)).origin is Origin.FILE and held.value:
            os.environ[row.variable] = str(int(held.value) if isinstance(held.value, bool) else held.value)
    return Selection(**{name: places.hold(row).value for name, row in _ROWS.items()})


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Keep the value of a flag, for a group of commands and its subcommand."""
    if value is not None:
        ctx.meta.setdefault(_FLAGS, {})[param.name] = value
