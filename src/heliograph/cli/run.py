"""`heliograph run`: start a server for an application."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypedDict, Unpack

import click

from heliograph._core.signals.registry import check_num
from heliograph.application import DEFAULT_CALLABLE, AppSpec
from heliograph.cli import local_server, uwsgi_server
from heliograph.cli.errors import CommandError
from heliograph.cli.preflight import check_app
from heliograph.exceptions import ConfigError
from heliograph.models import Topology
from heliograph.settings.addresses import check_address
from heliograph.settings.settings import ServerSettings, check_spooler, parse_farms
from heliograph.settings.web_server_command import workers_of

ENGINES: dict[str, Callable[[ServerSettings], NoReturn]] = {"local": local_server.start, "uwsgi": uwsgi_server.start}
"""What can run a server: name -> a function that becomes it."""

_EXAMPLES = """\b
Examples:
  heliograph run shop.tasks --workers 2 --mules 1
      two workers and a mule for signals, no other server needed
  heliograph run shop/app.py --mules 3 --farm crunchers=1,2 --spooler spool
      a file, a farm of two of three mules, a spooler
  heliograph run shop.tasks --mules 2 -- gunicorn -w 4 shop.wsgi
      beside gunicorn (or uvicorn, granian): its processes are the workers
  heliograph run shop.tasks --socket 127.0.0.1:3031 --allow-remote 17
      take signal 17 from outside: heliograph send 17 127.0.0.1:3031
  heliograph run shop.wsgi:app --engine uwsgi --http 127.0.0.1:8000
      on real uWSGI, serving HTTP
  heliograph run shop.wsgi --engine uwsgi -- --stats 127.0.0.1:9191
      flags of uWSGI's own follow two dashes

\b
Exit codes: 2 if the server cannot be started so, or cannot load the
application; 0 after Ctrl-C, SIGTERM or heliograph stop. Beside another server
that one's own, if it ended before it served. With --engine uwsgi uWSGI's own:
22 if it could not load the application.
"""

_DASHES = (
    "The command of a web server, or flags of uWSGI's own, stand after two dashes: "
    "heliograph run shop.tasks -- gunicorn -w 4 shop.web:app"
)


class _Options(TypedDict):
    workers: int | None
    mules: int
    farm: tuple[str, ...]
    spooler: Path | None
    http: str | None
    socket: str | None
    threads: int
    lazy_apps: bool
    name: str | None
    graceful_timeout: float
    max_signals: int
    time_limit: float
    allow_remote: tuple[int, ...]


class _Numbers(click.ParamType[tuple[int, ...]]):
    """`17,18`."""

    name = "17,18"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Numbers of signals."""
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType]
        try:
            return tuple(check_num(int(part)) for part in str(value).split(","))
        except ValueError as error:
            self.fail(f"{value!r}: {error}; give numbers of signals, 17,18", param, ctx)


class _RunCommand(click.Command):
    """Knows that what follows two dashes is another command, and says so where APP or the dashes were left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises `UsageError`, as ever, with the way out."""
        dashes = "--" in args
        own = args[: args.index("--")] if dashes else [*args]  # the parser takes from `args` what it has read
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if dashes:
                raise
            raise click.UsageError(f"{error.format_message()} {_DASHES}", ctx) from error
        app, extra = ctx.params["app"], ctx.params["extra"]
        if app not in own:
            raise click.UsageError(
                f"APP is missing: the module that registers signals stands before --. {_DASHES}", ctx
            )
        if extra and not dashes:
            raise click.UsageError(f"{extra[0]!r} was not expected after {app}. {_DASHES}", ctx)
        return rest


@click.command(epilog=_EXAMPLES, cls=_RunCommand)
@click.argument("app")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
@click.option(
    "--engine",
    type=click.Choice(sorted(ENGINES)),
    default="local",
    show_default=True,
    help="What runs it: a server of our own, or real uWSGI.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Worker processes; 1 if not given, beside another server as many as its command says.",
)
@click.option("--mules", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Mules.")
@click.option("--farm", multiple=True, metavar="NAME=1,2", help="A farm of these mules; may be repeated.")
@click.option(
    "--spooler",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A spooler on this directory; made if its parent is there.",
)
@click.option(
    "--socket", "--listen", "socket", metavar="ADDR", help="Take signals from outside, by the uwsgi protocol."
)
@click.option("--allow-remote", type=_Numbers(), default=(), help="Signals that may come from outside (local engine).")
@click.option("--lazy-apps", is_flag=True, help="Load the application in each process, after the fork.")
@click.option("--name", metavar="NAME", help="What signals, reload and stop find it by; else the directory.")
@click.option(
    "--graceful-timeout",
    "--mercy",
    "graceful_timeout",
    type=float,
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds that processes get to finish before they are killed.",
)
@click.option("--max-signals", type=click.IntRange(min=0), default=0, metavar="N", help="Replace a process after N.")
@click.option("--time-limit", type=float, default=0.0, metavar="S", help="End a process whose handler takes longer.")
@click.option("--http", metavar="ADDR", help="Serve HTTP at HOST:PORT, :PORT or a unix socket's path (uwsgi).")
@click.option("--threads", type=click.IntRange(min=1), default=1, metavar="N", help="Per worker (uwsgi).")
def run(app: str, extra: tuple[str, ...], engine: str, **options: Unpack[_Options]) -> None:
    """Start a server for APP: package.module, package.module:callable, or path/app.py[:callable].

    The application is imported once and then forked (with --lazy-apps: imported in each process); the current
    directory is importable, as with `python -m`. A server is told to stop with SIGTERM or Ctrl-C (twice: at once), to
    reload with SIGHUP, and to log its state with SIGUSR1.

    After two dashes may follow the command of a web server. It is started beside, and its processes are the workers.
    """
    try:
        settings = _settings(AppSpec.parse(app, Path.cwd()), extra, engine, options)
        if engine == "uwsgi":
            _check_for_uwsgi(options)
            _check_app(settings)
        ENGINES[engine](settings)
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _settings(app: AppSpec, extra: tuple[str, ...], engine: str, options: _Options) -> ServerSettings:
    if extra and engine == "uwsgi" and not extra[0].startswith("-"):
        raise ConfigError(f"{extra[0]!r}: after -- follow flags of uWSGI's own; a command is for the local engine")
    farms = parse_farms(options["farm"], options["mules"])
    spooler, http, socket = options["spooler"], options["http"], options["socket"]
    if spooler is not None:
        check_spooler(spooler)
    for option, address in (("--http", http), ("--socket", socket)):
        if address is not None:
            check_address(option, address)
    workers = options["workers"]
    if workers is None:
        workers = workers_of(extra if engine == "local" else (), os.environ)
    topology = Topology(workers, options["mules"], farms, spoolers=int(spooler is not None))
    return ServerSettings(
        app=app,
        topology=topology,
        spooler=spooler,
        http=http,
        socket=socket,
        threads=options["threads"],
        lazy_apps=options["lazy_apps"],
        name=options["name"],
        graceful_timeout=options["graceful_timeout"],
        max_signals=options["max_signals"],
        time_limit=options["time_limit"],
        allow_remote=options["allow_remote"],
        extra=extra,
    )


def _check_for_uwsgi(options: _Options) -> None:
    instead = {
        "name": "uWSGI is found by its --socket",
        "max_signals": "uWSGI has no such limit",
        "time_limit": "use -- --harakiri S --mule-harakiri S --spooler-harakiri S",
        "allow_remote": "uWSGI takes every signal at its --socket",
    }
    for name, hint in instead.items():
        if options[name]:  # type: ignore[literal-required]
            raise ConfigError(f"--{name.replace('_', '-')} is for the local engine; {hint}")


def _check_app(settings: ServerSettings) -> None:
    # Flags of the server's own may add mules and farms that are not known here.
    serves = check_app(settings.app, settings.topology, topology_is_final=not settings.extra)
    if serves is False and settings.http is not None:
        raise ConfigError(
            f"{settings.app} has no {DEFAULT_CALLABLE!r} to serve over HTTP; name it ({settings.app}:NAME), "
            "or leave --http out to run its signals only"
        )
    if serves and settings.http is None and settings.socket is None and not settings.extra:
        click.echo("Note: neither --http nor --socket, so this server handles signals only.", err=True)
