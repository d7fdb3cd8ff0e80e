"""`heliograph config`: the settings that hold, and where each came from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from heliograph._core.sizes import duration_option, size_option
from heliograph.application import AppSpec
from heliograph.cli.errors import CommandError
from heliograph.cli.settings import Configuration, ServerCommand, read_configuration
from heliograph.cli.tables import table
from heliograph.exceptions import ConfigError
from heliograph.ipc.instance import control_socket, server_name, working_directory
from heliograph.models import FarmSpec
from heliograph.settings.addresses import Address
from heliograph.settings.arguments import COMMANDS
from heliograph.settings.commands import Command
from heliograph.settings.config_file import key_of
from heliograph.settings.option_row import LOCAL
from heliograph.settings.option_types import WorkerRange
from heliograph.settings.options import ServerSettings
from heliograph.settings.origins import Origin

_HELP = """Show the settings of `heliograph run` that hold in this directory, and where each came from.

The command takes the arguments of `heliograph run`, and reads the same variables and the same file. It starts nothing
and does not import the application. An address that is in use is no error.
"""

_EPILOG = """\b
Examples:
  heliograph config
  heliograph config --workers 4
  heliograph config --chdir /srv/shop --json

\b
Exit codes:
  0  the settings are valid
  2  they are not. The error is that of heliograph run
"""

_COLUMNS = ("option", "value", "from")


def _config(*, as_json: bool, **_params: object) -> None:
    try:
        found = read_configuration(click.get_current_context(), will_start=False)
        directory = str(working_directory())
        rows = _rows(found)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    file, env_file = found.files.config.label if found.files.config else None, found.files.env_file or None
    if as_json:
        options = {row["option"]: {key: row[key] for key in ("value", "origin", "from")} for row in rows}
        click.echo(
            json.dumps({"directory": directory, "file": file, "env_file": env_file, "options": options}, indent=2)
        )
        return
    click.echo(f"directory: {directory}")
    click.echo(f"configuration file: {file or 'none'}")
    if env_file:
        click.echo(f"file of variables: {env_file}")
    click.echo(table(_COLUMNS, [{**row, "value": _text(row["option"], row["value"])} for row in rows]))


def _rows(found: Configuration) -> list[dict[str, Any]]:
    values = _values(found.settings)
    commands = found.held[COMMANDS.name]
    return [
        {
            "option": key_of(held.row),
            "value": _plain(values[name]),
            "origin": str(held.origin),
            "from": held.place,
        }
        for name, held in found.held.items()
        if name != COMMANDS.name and (found.settings.engine in held.row.engines or held.origin is not Origin.DEFAULT)
    ] + [
        {
            "option": command.place,
            "value": _plain(command),
            "origin": str(commands.origin),
            "from": f"{commands.place}.{command.name}",
        }
        for command in found.settings.commands
    ]


def _values(settings: ServerSettings) -> dict[str, Any]:
    """Return the values by name, with those that follow from others."""
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    if settings.engine == LOCAL:
        values["name"] = server_name(settings.name or None, working_directory())
        values["control"] = settings.control or control_socket(values["name"])
    return values


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Path | Address | AppSpec | WorkerRange):
        return str(value)
    if isinstance(value, Command):
        return {
            "command": list(value.argv),
            "restart": value.restart,
            "reload": value.reload,
            "directory": str(value.directory),
            "environment": dict(value.environment),
        }
    if isinstance(value, FarmSpec):
        return f"{value.name}={','.join(map(str, value.mules))}"
    if isinstance(value, frozenset):
        return sorted(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return [_plain(item) for item in value] if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownVariableType]


_SPELLS: dict[str, Callable[[Any], str]] = {
    "command": shlex.join,
    "max-rss": size_option,
    "max-age": duration_option,
}
"""Options whose values have a spelling of their own for people."""


def _text(option: str, value: Any) -> str:
    """Return a value for people."""
    if option.startswith(f"{COMMANDS.name}."):
        row: dict[str, Any] = value
        return f"{shlex.join(row['command'])} (restart {row['restart']}, reload {row['reload']})"
    if value and (spell := _SPELLS.get(option)):
        return spell(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None or value == "" else str(value)


def make_config_command(settings: type[ServerSettings]) -> click.Command:
    """Make the command `config` with the options of a table."""
    return ServerCommand(
        "config",
        settings,
        extra=(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),),
        callback=_config,
        help=_HELP,
        short_help="Show the settings that hold, and their origin.",
        epilog=_EPILOG,
    )


config = make_config_command(ServerSettings)
