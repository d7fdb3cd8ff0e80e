"""`heliograph run`: start a server for an application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypedDict, Unpack

import click

from heliograph.application import DEFAULT_CALLABLE, AppSpec
from heliograph.cli import uwsgi_server
from heliograph.cli.addresses import check_address
from heliograph.cli.failure import Failure
from heliograph.cli.rehearsal import rehearse
from heliograph.cli.settings import ServerSettings, check_spooler, parse_farms
from heliograph.exceptions import ConfigError
from heliograph.values import Topology

ENGINES: dict[str, Callable[[ServerSettings], NoReturn]] = {"uwsgi": uwsgi_server.start}
"""What can run a server: name -> a function that becomes it."""

_EXAMPLES = """\b
Examples:
  heliograph run shop.tasks
      signals only: two workers would be --workers 2
  heliograph run shop.wsgi:app --http 127.0.0.1:8000 --mules 1
      serve HTTP, and have a mule for signals
  heliograph run shop/app.py --mules 3 --farm crunchers=1,2 --spooler spool
      a file, a farm of two of three mules, a spooler
  heliograph run shop.tasks --socket 127.0.0.1:3031
      take signals from outside: heliograph send 17 127.0.0.1:3031
  heliograph run shop.wsgi -- --stats 127.0.0.1:9191
      flags of uWSGI's own follow two dashes

\b
Exit codes: 2 if the server cannot be started so; else the server's own
(uWSGI: 0 after Ctrl-C or SIGTERM, 22 if it could not load the application).
"""


class _Options(TypedDict):
    workers: int
    mules: int
    farm: tuple[str, ...]
    spooler: Path | None
    http: str | None
    socket: str | None
    threads: int
    lazy_apps: bool


@click.command(epilog=_EXAMPLES)
@click.argument("app")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[-- SERVER FLAGS]")
@click.option("--engine", type=click.Choice(sorted(ENGINES)), default="uwsgi", show_default=True, help="What runs it.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Processes.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Per worker.")
@click.option("--mules", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Mules.")
@click.option("--farm", multiple=True, metavar="NAME=1,2", help="A farm of these mules; may be repeated.")
@click.option(
    "--spooler",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A spooler on this directory; made if its parent is there.",
)
@click.option("--http", metavar="ADDR", help="Serve HTTP at HOST:PORT, :PORT or a unix socket's path.")
@click.option("--socket", metavar="ADDR", help="Take signals and requests of the uwsgi protocol there.")
@click.option("--lazy-apps", is_flag=True, help="Load the application in each worker, after the fork.")
def run(app: str, extra: tuple[str, ...], engine: str, **options: Unpack[_Options]) -> None:
    """Start a server for APP: package.module, package.module:callable, or path/app.py[:callable].

    APP is imported in the master before the workers are forked; the current directory is importable, as with
    `python -m`. Without a callable (the default is "application") the server handles signals only. Before it starts,
    the application is imported once in a process of its own to see that it can be.
    """
    try:
        settings = _settings(AppSpec.parse(app, Path.cwd()), extra, options)
        _rehearse(settings)
        ENGINES[engine](settings)
    except ConfigError as error:
        raise Failure(str(error)) from error


def _settings(app: AppSpec, extra: tuple[str, ...], options: _Options) -> ServerSettings:
    if extra and not extra[0].startswith("-"):
        raise ConfigError(f"{extra[0]!r} was not expected after the application; the server's own flags follow --")
    farms = parse_farms(options["farm"], options["mules"])
    spooler, http, socket = options["spooler"], options["http"], options["socket"]
    if spooler is not None:
        check_spooler(spooler)
    for option, address in (("--http", http), ("--socket", socket)):
        if address is not None:
            check_address(option, address)
    topology = Topology(options["workers"], options["mules"], farms, spoolers=int(spooler is not None))
    return ServerSettings(app, topology, spooler, http, socket, options["threads"], options["lazy_apps"], extra)


def _rehearse(settings: ServerSettings) -> None:
    # Flags of the server's own may add mules and farms that are not known here.
    serves = rehearse(settings.app, settings.topology, sure=not settings.extra)
    if serves is False and settings.http is not None:
        raise ConfigError(
            f"{settings.app} has no {DEFAULT_CALLABLE!r} to serve over HTTP; name it ({settings.app}:NAME), "
            "or leave --http out to run its signals only"
        )
    if serves and settings.http is None and settings.socket is None and not settings.extra:
        click.echo("Note: neither --http nor --socket, so this server handles signals only.", err=True)
