"""`heliograph run`: start a server for an application."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import click

from heliograph.application import DEFAULT_CALLABLE, AppSpec, current_directory
from heliograph.cli import local_server, uwsgi_server
from heliograph.cli.errors import CommandError
from heliograph.cli.options import TableOption
from heliograph.cli.preflight import check_app
from heliograph.exceptions import ConfigError
from heliograph.settings.make import completed
from heliograph.settings.options import ENGINES, LOCAL, UWSGI, ServerSettings, options_of

START: dict[str, Callable[[ServerSettings], NoReturn]] = {LOCAL: local_server.start, UWSGI: uwsgi_server.start}
"""Engine -> function that starts its server and does not return."""

_HELP = """Start a server for APP: package.module, package.module:callable, or path/app.py[:callable].

The server imports the application once and then forks. The current directory is importable, as with `python -m`.
SIGTERM and Ctrl-C stop the server, a second one stops it at once. SIGHUP reloads it, and SIGUSR1 logs its state.

The part after -- is the command of a web server, whose processes become the workers. With --engine uwsgi it is
uWSGI's own options.
"""

_EPILOG = """\b
Environment: each option has a variable, HELIOGRAPH_ and its name, such as
HELIOGRAPH_WORKERS or HELIOGRAPH_GRACEFUL_TIMEOUT. Exception: --engine has
HELIOGRAPH_RUN_ENGINE. A flag wins over its variable.

\b
Examples:
  heliograph run shop.tasks --workers 2 --mules 1
      two workers and a mule, for signals only
  heliograph run shop/app.py --mules 3 --farm crunchers=1,2 --spooler spool
      a file, a farm of two of three mules, a spooler
  heliograph run shop.tasks --mules 2 -- gunicorn -w 4 shop.wsgi
      gunicorn (or uvicorn, granian), whose processes are the workers
  heliograph run shop.tasks --socket 127.0.0.1:3031 --allow-remote 17
      accept signal 17 from outside: heliograph send 17 127.0.0.1:3031
  heliograph run shop.wsgi:app --engine uwsgi --http 127.0.0.1:8000
      uWSGI, with HTTP
  heliograph run shop.wsgi --engine uwsgi -- --stats 127.0.0.1:9191
      uWSGI, with an option of its own

\b
Exit codes:
  0   after a stop
  2   the server cannot start, or cannot load the application
  the web server's own, if it exits before any of its processes joined
  uWSGI's own with --engine uwsgi (22: it cannot load the application)
"""

_EXAMPLE = (
    "The command of a web server, or uWSGI's own options, stand after --: "
    "heliograph run shop.tasks -- gunicorn -w 4 shop.web:app"
)

_GROUPS = {ENGINES: "Options", (LOCAL,): "Options of the heliograph server", (UWSGI,): "Options of uWSGI"}


class RunCommand(click.Command):
    """A command whose part after `--` is another command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Raises `UsageError` with an example if APP or `--` is missing."""
        has_dashes = "--" in args
        before = args[: args.index("--")] if has_dashes else [*args]  # the parser removes from `args` what it has read
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if has_dashes:
                raise
            raise click.UsageError(f"{error.format_message()} {_EXAMPLE}", ctx) from error
        app, command = ctx.params["app"], ctx.params["command"]
        if app not in before:
            raise click.UsageError(
                f"APP is missing. The module that registers signals stands before --. {_EXAMPLE}", ctx
            )
        if command and not has_dashes:
            raise click.UsageError(f"unexpected argument after {app}: {command[0]!r}. {_EXAMPLE}", ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups: of both engines, of one engine."""
        options = [param for param in self.params if isinstance(param, TableOption)]
        for engines, title in _GROUPS.items():
            records = [one.get_help_record(ctx) for one in options if one.row.engines == engines]
            if engines == ENGINES and (help_option := self.get_help_option(ctx)):
                records += filter(None, [help_option.get_help_record(ctx)])
            with formatter.section(title):
                formatter.write_dl(records)


def _run(table: type[ServerSettings], app: str, command: tuple[str, ...], **values: Any) -> None:
    ctx = click.get_current_context()
    labels = {param.name: param.label(ctx) for param in ctx.command.params if isinstance(param, TableOption)}
    options = {name: value for name, value in values.items() if value is not None}
    try:
        given = table(AppSpec.parse(app, current_directory()), command=command, **options)
        settings = completed(given, lambda row: labels[row.name])
        if settings.engine == UWSGI:
            _check_uwsgi_options(settings)
            _check_app(settings)
        START[settings.engine](settings)
    except ConfigError as error:
        raise CommandError(str(error)) from error


def make_run_command(table: type[ServerSettings]) -> click.Command:
    """Make the command `run` with the options of a table."""
    return RunCommand(
        "run",
        params=[
            click.Argument(["app"]),
            click.Argument(["command"], nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]"),
            *map(TableOption, options_of(table)),
        ],
        callback=partial(_run, table),
        help=_HELP,
        short_help="Start a server for an application.",
        epilog=_EPILOG,
    )


def _check_uwsgi_options(settings: ServerSettings) -> None:
    if settings.command and not settings.command[0].startswith("-"):
        raise ConfigError(
            f"not an option of uWSGI: {settings.command[0]!r}. Commands of web servers are for --engine local"
        )


def _check_app(settings: ServerSettings) -> None:
    # uWSGI's own options can add mules and farms that are not known here.
    serves = check_app(settings.app, settings.topology, topology_is_final=not settings.command)
    if serves is False and settings.http is not None:
        raise ConfigError(
            f"{settings.app} has no {DEFAULT_CALLABLE!r} to serve over HTTP. Name the callable ({settings.app}:NAME), "
            "or leave --http out"
        )
    if serves and settings.http is None and settings.listen is None and not settings.command:
        click.echo("Note: without --http and --socket this server handles signals only.", err=True)


run = make_run_command(ServerSettings)
