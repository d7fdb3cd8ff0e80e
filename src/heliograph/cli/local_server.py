"""Start the heliograph server: this process becomes its master."""

from __future__ import annotations

from typing import NoReturn

from heliograph.exceptions import ConfigError
from heliograph.server.serve import serve_settings
from heliograph.settings.logs import configure_logging
from heliograph.settings.options import ServerSettings
from heliograph.settings.web_server_command import find_command


def start(settings: ServerSettings) -> NoReturn:
    """Run the server until it is stopped, and exit with its code. Raises `ConfigError` if it cannot start."""
    try:
        configure_logging(settings.log_level, settings.log_config)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    raise SystemExit(serve_settings(settings, ends_process=True))


def check_command(command: str) -> None:
    """Check that the command of a web server exists. Raises: ConfigError: it does not."""
    if command.startswith("-"):
        raise ConfigError(f"not a command: {command!r}. Options after -- are for --engine uwsgi")
    if find_command(command) is None:
        raise ConfigError(f"command not found: {command!r}")
