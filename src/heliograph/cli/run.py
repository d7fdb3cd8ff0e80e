"""`heliograph run`: start a server for an application."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import click

from heliograph.application import DEFAULT_CALLABLE
from heliograph.cli import local_server, uwsgi_server
from heliograph.cli.errors import CommandError
from heliograph.cli.plan import plan
from heliograph.cli.preflight import check_app
from heliograph.cli.settings import ServerCommand, read_configuration
from heliograph.exceptions import ConfigError
from heliograph.settings.option_row import LOCAL, UWSGI
from heliograph.settings.options import ServerSettings

START: dict[str, Callable[[ServerSettings], NoReturn]] = {LOCAL: local_server.start, UWSGI: uwsgi_server.start}
"""Engine -> function that starts its server and does not return."""

_HELP = """Start a server for APP: package.module, package.module:callable, or path/app.py[:callable].

The server imports the application once and then forks. The current directory is importable, as with `python -m`.
SIGTERM and Ctrl-C stop the server, a second one or SIGQUIT stops it at once. SIGHUP reloads it, and SIGUSR1 logs its
state.

The part after -- is the command of a web server, whose processes become the workers. With --engine uwsgi it is
uWSGI's own options.

APP, the command and all options can stand in heliograph.toml, or in [tool.heliograph] of pyproject.toml.
`heliograph config` shows what holds and where it came from.
"""

_EPILOG = """\b
Environment: each option has a variable, HELIOGRAPH_ and its name, such as
HELIOGRAPH_WORKERS or HELIOGRAPH_GRACEFUL_TIMEOUT. Exception: --engine has
HELIOGRAPH_RUN_ENGINE. A flag wins over its variable, the variable over
heliograph.toml.

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


def _run(*, print_plan: bool, **_params: object) -> None:
    try:
        found = read_configuration(click.get_current_context(), will_start=not print_plan)
        settings = found.settings
        if print_plan:
            click.echo("\n".join(plan(settings, found.files)))
            return
        if settings.engine == UWSGI:
            _check_app(settings)
        START[settings.engine](settings)
    except ConfigError as error:
        raise CommandError(str(error)) from error


def make_run_command(table: type[ServerSettings]) -> click.Command:
    """Make the command `run` with the options of a table."""
    return ServerCommand(
        "run",
        table,
        extra=(click.Option(["--print-plan"], is_flag=True, help="Show what would be started, and start nothing."),),
        callback=_run,
        help=_HELP,
        short_help="Start a server for an application.",
        epilog=_EPILOG,
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
