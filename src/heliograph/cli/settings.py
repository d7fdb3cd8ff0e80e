"""The settings of the server that a command line, the variables and the configuration file describe."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from heliograph.application import AppSpec, current_directory
from heliograph.cli.files import Files, enter, read_config
from heliograph.cli.local_server import check_command
from heliograph.cli.options import TableOption, given_flags
from heliograph.exceptions import ConfigError
from heliograph.ipc.instance import server_name
from heliograph.settings.arguments import ARGUMENTS, COMMANDS, ENV_FILE, FILES
from heliograph.settings.commands import Command, check_commands, read_commands
from heliograph.settings.make import completed
from heliograph.settings.option_row import ENGINES, LOCAL, UWSGI, Option, options_of
from heliograph.settings.options import ServerSettings
from heliograph.settings.origins import Held, Origin, without_listening

EXAMPLE = (
    "The command of a web server, or uWSGI's own options, stand after --: "
    "heliograph run shop.tasks -- gunicorn -w 4 shop.web:app"
)

_GROUPS = {ENGINES: "Options", (LOCAL,): "Options of the heliograph server", (UWSGI,): "Options of uWSGI"}
_COMMAND = "heliograph.command"
"""Key of the part after `--` in the `meta` of click's context."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and where they came from."""

    settings: ServerSettings
    held: dict[str, Held]
    files: Files


class ServerCommand(click.Command):
    """A command with the options of a server. Its part after `--` is another command."""

    def __init__(
        self, name: str, table: type[ServerSettings], *, extra: tuple[click.Option, ...] = (), **attributes: Any
    ) -> None:
        self.table = table
        arguments = [
            click.Argument(["app"], required=False),
            click.Argument(["command"], nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]"),
        ]
        super().__init__(
            name, params=[*arguments, *map(TableOption, (*FILES, *options_of(table))), *extra], **attributes
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Raises `UsageError` with an example if `--` is missing."""
        has_dashes = "--" in args
        before = args[: args.index("--")] if has_dashes else args
        if has_dashes:
            ctx.meta[_COMMAND] = tuple(args[len(before) + 1 :])
        try:
            rest = super().parse_args(ctx, [*before])
        except click.NoSuchOption as error:
            if has_dashes:
                raise
            raise click.UsageError(f"{error.format_message()} {EXAMPLE}", ctx) from error
        app, stray = ctx.params["app"], ctx.params.pop("command", ())
        if stray:
            raise click.UsageError(f"unexpected argument after {app}: {stray[0]!r}. {EXAMPLE}", ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups: of both engines, of one engine."""
        options = [param for param in self.params if isinstance(param, TableOption)]
        others = [param for param in self.get_params(ctx) if isinstance(param, click.Option) and param not in options]
        for engines, title in _GROUPS.items():
            shown: list[click.Option] = [param for param in options if param.row.engines == engines]
            if engines == ENGINES:
                shown += others
            records = [record for param in shown if (record := param.get_help_record(ctx))]
            with formatter.section(title):
                formatter.write_dl(records)


def read_configuration(ctx: click.Context, *, will_start: bool) -> Configuration:
    """Read the settings from the command line, the variables and the configuration file, and check them.

    Args:
        ctx: Context of a `ServerCommand`.
        will_start: Check also that the addresses are free.

    Raises:
        ConfigError: A value is invalid, or does not fit the others.
    """
    assert isinstance(ctx.command, ServerCommand)
    flags = given_flags(ctx)
    files = enter(flags)
    read_config(files, flags)
    rows = options_of(ctx.command.table)
    if files.config is not None:
        files.config.check_keys((*ARGUMENTS, COMMANDS, ENV_FILE, *rows))
    words = {"app": ctx.params["app"], "command": ctx.meta.get(_COMMAND)}
    places = files.places({**flags, **{name: word for name, word in words.items() if word is not None}})
    held = places.hold_all((*ARGUMENTS, *(rows if will_start else map(without_listening, rows))))
    held[COMMANDS.name] = places.hold_table(COMMANDS)
    if not held["app"].value:
        raise click.UsageError(f"APP is missing. Pass it before --, or set `app` in heliograph.toml. {EXAMPLE}", ctx)
    return Configuration(_settings(ctx.command.table, held), held, files)


def _settings(table: type[ServerSettings], held: dict[str, Held]) -> ServerSettings:
    arguments = {row.name for row in (*ARGUMENTS, COMMANDS)}
    options = {
        name: one.value for name, one in held.items() if one.origin is not Origin.DEFAULT and name not in arguments
    }
    commands = _commands(held[COMMANDS.name])
    given = table(_app(held["app"]), command=held["command"].value, commands=commands, **options)
    _check_name(held["name"])
    settings = completed(given, lambda row: _label(row, held))
    _check_command(settings)
    return settings


def _app(held: Held) -> AppSpec:
    with _naming(held):
        return AppSpec.parse(held.value, current_directory())


def _commands(held: Held) -> tuple[Command, ...]:
    if held.origin is Origin.DEFAULT:
        return ()
    commands = read_commands(held.label, held.value)
    check_commands(held.label, commands)
    return commands


def _check_name(held: Held) -> None:
    with _naming(held):
        server_name(held.value or None, Path("/"))


@contextmanager
def _naming(held: Held) -> Generator[None]:
    """Name the place of a value in errors, unless it is the command line."""
    try:
        yield
    except ConfigError as error:
        if held.origin is Origin.FLAG:
            raise
        raise ConfigError(f"{held.given}: {error}") from error


def _label(row: Option, held: dict[str, Held]) -> str:
    return held[row.name].label or row.flag


def _check_command(settings: ServerSettings) -> None:
    if settings.engine == LOCAL and settings.command:
        check_command(settings.command[0])
    elif settings.command and not settings.command[0].startswith("-"):
        raise ConfigError(
            f"not an option of uWSGI: {settings.command[0]!r}. Commands of web servers are for --engine local"
        )
