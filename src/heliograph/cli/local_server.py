"""Start a server of our own: this process becomes its master."""

from __future__ import annotations

import logging
from typing import NoReturn

from heliograph.exceptions import ConfigError
from heliograph.server import serve
from heliograph.settings.settings import ServerSettings
from heliograph.settings.web_server_command import find_command

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start(settings: ServerSettings) -> NoReturn:
    """Be the server until it is told to stop. Raises `ConfigError` for settings that it does not have."""
    _check(settings)
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    top = settings.topology
    code = serve(
        str(settings.app),
        workers=top.workers,
        mules=top.mules,
        farms={farm.name: farm.mules for farm in top.farms},
        spooler=settings.spooler,
        name=settings.name,
        lazy_apps=settings.lazy_apps,
        graceful_timeout=settings.graceful_timeout,
        max_signals=settings.max_signals,
        time_limit=settings.time_limit,
        listen=settings.socket,
        allow_remote=settings.allow_remote,
        command=settings.extra,
    )
    raise SystemExit(code)


def _check(settings: ServerSettings) -> None:
    if settings.http is not None:
        raise ConfigError("--http: this engine serves no HTTP; run a web server beside it: -- gunicorn shop.wsgi")
    if settings.threads > 1:
        raise ConfigError("--threads: this engine runs one handler at a time in a process; use more --workers")
    if settings.extra:
        _check_command(settings.extra[0])


def _check_command(command: str) -> None:
    if command.startswith("-"):
        raise ConfigError(
            f"{command}: after -- follows a command, such as gunicorn; flags alone are for --engine uwsgi"
        )
    if find_command(command) is None:
        raise ConfigError(f"{command!r}: there is no such command; if it is to be installed: pip install {command}")
