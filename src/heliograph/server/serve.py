"""Run a server of our own from a program: what `heliograph run` does."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from heliograph._core.signals.registry import check_num
from heliograph.application import AppSpec
from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology
from heliograph.settings.web_server_command import workers_of

GRACEFUL_TIMEOUT = 30.0
"""Seconds that processes get to finish, when a server stops or reloads."""


def serve(  # noqa: PLR0913 - keywords, each an option of the command
    app: str,
    *,
    workers: int | None = None,
    mules: int = 0,
    farms: Mapping[str, Sequence[int]] | None = None,
    spooler: str | Path | None = None,
    name: str | None = None,
    lazy_apps: bool = False,
    graceful_timeout: float = GRACEFUL_TIMEOUT,
    max_signals: int = 0,
    time_limit: float = 0.0,
    listen: str | None = None,
    allow_remote: Iterable[int] = (),
    command: Sequence[str] = (),
) -> int:
    """Run a server for `app` until it is told to stop (SIGTERM, Ctrl-C, `heliograph stop`); return its exit code.

    `app` is `package.module`, `package.module:callable` or `path/app.py`. It is never imported in this process. `farms`
    are names with the numbers of their mules. `name` is what `heliograph signals`, `reload` and `stop` find the server
    by; without it they find it by the directory. `graceful_timeout` and `time_limit` are in seconds. At `listen`
    (`HOST:PORT` or a unix socket's path) signals are taken from outside, those of `allow_remote` only.
    See `heliograph run --help`.

    `command` starts another server (`["gunicorn", "-w", "4", "shop.wsgi"]`), whose processes are the workers then:
    `workers` says how many, as a rule; without it that is read from the command.

    Must be called in the main thread, which takes the UNIX signals. Raises `ConfigError` for what cannot be started.
    The exit code is 0 after a stop, and 2 if the application could not be loaded; the command's own if it ended before
    any of its processes had joined.
    """
    from heliograph.ipc.instance import server_name  # noqa: PLC0415 - only who serves pays for a server
    from heliograph.server.master import Master  # noqa: PLC0415
    from heliograph.settings.master_settings import MasterSettings  # noqa: PLC0415

    listed = tuple(FarmSpec(farm, tuple(numbers)) for farm, numbers in (farms or {}).items())
    if workers is None:
        workers = workers_of(command, os.environ)
    topology = Topology(workers, mules, listed, spoolers=int(spooler is not None))
    _check(topology, graceful_timeout=graceful_timeout, max_signals=max_signals, time_limit=time_limit)
    settings = MasterSettings(
        app=str(AppSpec.parse(app, Path.cwd())),
        topology=topology,
        name=server_name(name, Path.cwd()),
        graceful_timeout=graceful_timeout,
        lazy=lazy_apps,
        max_signals=max_signals,
        time_limit=time_limit,
        listen=listen,
        allow_remote=frozenset(map(check_num, allow_remote)),
        command=tuple(command),
    )
    logging.getLogger("heliograph.master").debug("serving %s", settings)
    return Master(settings).run()


def _check(topology: Topology, **numbers: float) -> None:
    for name, value in numbers.items():
        if not value >= 0:
            raise ConfigError(f"{name} must be 0 or more, not {value!r}")
    if not topology.processes():
        raise ConfigError("a server without any process does nothing: give it workers, mules or a spooler")
    if min(topology.workers, topology.mules) < 0:
        raise ConfigError("there cannot be fewer than 0 workers or mules")
    for farm in topology.farms:
        for number in farm.mules:
            if not 1 <= number <= topology.mules:
                raise ConfigError(f"farm {farm.name!r}: there is no mule {number}; this server has {topology.mules}")
