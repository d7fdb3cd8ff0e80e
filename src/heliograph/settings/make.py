"""Make `ServerSettings` from the options that a user or a program gave, and check that they fit together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, TypeVar

from heliograph.application import AppSpec, current_directory
from heliograph.exceptions import ConfigError
from heliograph.settings.commands import check_commands, read_commands
from heliograph.settings.option_row import LOCAL, UWSGI, Option, options_of
from heliograph.settings.option_types import WorkerRange
from heliograph.settings.options import OPTIONS, ServerSettings
from heliograph.settings.processes import check_topology
from heliograph.settings.web_server_command import count_workers

Label = Callable[[Option], str]
"""Spelling of an option that the user sees: its flag, its variable or its keyword."""

_ROWS = {row.name: row for row in OPTIONS}
_WORKERS, _RELOAD = _ROWS["workers"], _ROWS["reload"]
_RELOAD_DIR, _RELOAD_INCLUDE = _ROWS["reload_dirs"], _ROWS["reload_include"]

_Settings = TypeVar("_Settings", bound=ServerSettings)


def from_keywords(
    app: str, command: Sequence[str], keywords: Mapping[str, Any], commands: Mapping[str, object] | None = None
) -> ServerSettings:
    """Make the settings from the keywords of `serve()`. Raises `ConfigError`, naming the keyword."""
    rows = {row.name: row for row in OPTIONS}
    values = {name: _checked(rows[name], value) for name, value in keywords.items()}
    if isinstance(command, str) or not all(isinstance(word, str) for word in command):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f'command={command!r}: it is not a list of words. Use ["gunicorn", "-w", "4"]')
    others = read_commands("commands", {} if commands is None else commands)
    check_commands("commands", others)
    spec = AppSpec.parse(app, current_directory())
    settings = ServerSettings(spec, command=tuple(command), commands=others, **values)
    return completed(settings, lambda row: row.name)


def completed(settings: _Settings, label: Label) -> _Settings:
    """Return the settings with the number of workers, after checking that they fit together.

    Raises `ConfigError` for options that the engine does not have, and for processes that a server cannot have.
    """
    _check_system(str(sys.platform))
    _check_engine(settings, label)
    _check_page(settings, label)
    _check_reload(settings, label)
    local_command = settings.command if settings.engine == LOCAL else ()
    if settings.workers is None:
        settings = replace(settings, workers=count_workers(local_command, os.environ))
    elif isinstance(settings.workers, WorkerRange):
        settings = _elastic(settings, settings.workers, label)
    elif settings.workers == 0 and (local_command or settings.engine == UWSGI):
        raise ConfigError(f"{label(_WORKERS)} is too small: 0. Use 1 or more")
    try:
        check_topology(settings.topology)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return settings


def _elastic(settings: _Settings, workers: WorkerRange, label: Label) -> _Settings:
    """Check a server whose workers come and go, and find out how many its web server starts."""
    if settings.engine == UWSGI:
        raise ConfigError(
            f"{label(_WORKERS)} does not take {workers} with --engine uwsgi. Use {workers.most}, and its own option: "
            f"-- --cheaper {workers.least}"
        )
    if not settings.command:
        return settings
    started = count_workers(settings.command, os.environ)
    return replace(settings, expected_workers=max(workers.least, min(started, workers.most)))


def create_spooler_directory(settings: ServerSettings) -> None:
    """Create the spooler's directory with mode 0700 if it does not exist. Raises `ConfigError` if that fails."""
    if settings.spooler is None:
        return
    try:
        if not settings.spooler.is_dir():
            settings.spooler.mkdir(mode=0o700)
            settings.spooler.chmod(0o700)  # the umask may have removed more
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot create the spooler directory: {settings.spooler} ({reason}). Use another one"
        ) from error


def _checked(row: Option, value: Any) -> Any:
    if value is None:
        return row.default
    try:
        return row.type.from_value(value)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{row.name}={value!r}: {error}") from error


def _check_reload(settings: ServerSettings, label: Label) -> None:
    if settings.reload and find_spec("watchfiles") is None:
        raise ConfigError(f"{label(_RELOAD)} needs watchfiles: pip install 'heliograph[reload]'.")
    if not settings.reload and (settings.reload_dirs or settings.reload_include):
        row = _RELOAD_DIR if settings.reload_dirs else _RELOAD_INCLUDE
        raise ConfigError(f"{label(row)} has no effect without {_RELOAD.flag}. Add it")


def _check_system(platform: str) -> None:
    if platform != "linux":
        raise ConfigError(
            f"a server needs Linux, and this system is {platform}. Set HELIOGRAPH_ENGINE=inline to run handlers in the "
            "process that sends, as in tests."
        )


def _check_engine(settings: ServerSettings, label: Label) -> None:
    if settings.commands and settings.engine == UWSGI:
        raise ConfigError("commands do not work with --engine uwsgi. Use -- --attach-daemon COMMAND")
    for row in options_of(type(settings)):
        if settings.engine not in row.engines and getattr(settings, row.name) != row.default:
            raise ConfigError(f"{label(row)} does not work with --engine {settings.engine}. {row.instead}")


def _check_page(settings: ServerSettings, label: Label) -> None:
    rows = {row.name: row for row in options_of(type(settings))}
    for name in ("http_token_file", "http_host"):
        if settings.http_status is None and getattr(settings, name) != rows[name].default:
            raise ConfigError(f"{label(rows[name])} is for the status page. Add --http-status ADDR")
