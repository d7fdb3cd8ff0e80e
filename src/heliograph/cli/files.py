"""The directory and the configuration file of a command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from heliograph.application import current_directory
from heliograph.exceptions import ConfigError
from heliograph.ipc.instance import working_directory
from heliograph.settings.arguments import CHDIR, CONFIG
from heliograph.settings.config_file import ConfigFile, read_config_file
from heliograph.settings.origins import Held, Places


def enter_directory(flags: Mapping[str, Any]) -> None:
    """Change to the directory of `--chdir`, if there is one. Raises: ConfigError: that fails."""
    held = Places(flags, os.environ).hold(CHDIR)
    if held.value:
        _change_directory(held)


def open_config_file(flags: Mapping[str, Any]) -> ConfigFile | None:
    """Read the configuration file of `--config`, else the one in the working directory. None: there is none.

    Raises:
        ConfigError: The file cannot be read.
    """
    held = Places(flags, os.environ).hold(CONFIG)
    return read_config_file(held.value or None, current_directory())


def _change_directory(held: Held) -> None:
    # As the shell does with `cd`: the name of a server comes from the path with its links.
    path = os.path.normpath(working_directory() / held.value) if not os.path.isabs(held.value) else held.value  # noqa: PTH117
    try:
        os.chdir(path)
    except OSError as error:
        raise ConfigError(f"{held.given}: cannot change to it ({error.strerror}). Use another directory") from error
    os.environ["PWD"] = os.path.abspath(path)  # noqa: PTH100
    os.environ.pop(CHDIR.variable, None)  # commands that the application starts are in the directory already
