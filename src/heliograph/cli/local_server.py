"""Start a server of our own: this process becomes its master."""

from __future__ import annotations

import logging
from typing import NoReturn

from heliograph.cli.settings import ServerSettings
from heliograph.exceptions import ConfigError
from heliograph.server import serve

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
        mercy=settings.mercy,
        max_signals=settings.max_signals,
        time_limit=settings.time_limit,
        listen=settings.socket,
        allow_remote=settings.allow_remote,
    )
    raise SystemExit(code)


def _check(settings: ServerSettings) -> None:
    if settings.http is not None:
        raise ConfigError("--http: this engine serves no HTTP; use --engine uwsgi, or run a web server beside it")
    if settings.threads > 1:
        raise ConfigError("--threads: this engine runs one handler at a time in a process; use more --workers")
    if settings.extra:
        raise ConfigError(f"{' '.join(settings.extra)}: flags after -- are for --engine uwsgi")
