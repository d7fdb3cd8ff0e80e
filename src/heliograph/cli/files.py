"""The directory, the file of variables and the configuration file of a command, read in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.application import current_directory
from heliograph.exceptions import ConfigError
from heliograph.ipc.instance import working_directory
from heliograph.settings.arguments import CHDIR, CONFIG, ENV_FILE
from heliograph.settings.config_file import ConfigFile, read_config_file
from heliograph.settings.env_file import read_env_file
from heliograph.settings.origins import Held, Places

_READ_BEFORE = (CHDIR, ENV_FILE)
"""Options whose variables have no effect in the file of variables."""


@dataclass(slots=True)
class Files:
    """The files that a command has read."""

    config: ConfigFile | None = None
    env_file: str = ""
    """Path of the file of variables as the user wrote it. Empty: there is none."""
    variables: dict[str, str] = field(default_factory=dict[str, str])
    """Variables that come from that file -> its path."""

    def places(self, flags: Mapping[str, Any]) -> Places:
        """Return the places where values stand."""
        return Places(flags, os.environ, self.config, self.variables)


def enter(flags: Mapping[str, Any]) -> Files:
    """Change to the directory of `--chdir`, and set the variables of `--env-file`.

    Raises:
        ConfigError: The directory or the file cannot be used.
    """
    files = Files()
    directory = files.places(flags).hold(CHDIR)
    if directory.value:
        _change_directory(directory)
    _set_variables(files, files.places(flags).hold(ENV_FILE))
    return files


def read_config(files: Files, flags: Mapping[str, Any]) -> None:
    """Read the configuration file of `--config`, else the one in the working directory, if there is one.

    Raises:
        ConfigError: The file cannot be read, or the file of variables that it names.
    """
    path = files.places(flags).hold(CONFIG).value
    files.config = read_config_file(path or None, current_directory())
    if not files.env_file:
        _set_variables(files, files.places(flags).hold(ENV_FILE))


def _change_directory(held: Held) -> None:
    # As the shell does with `cd`: the name of a server comes from the path with its links.
    path = os.path.normpath(working_directory() / held.value)
    try:
        os.chdir(path)
    except OSError as error:
        raise ConfigError(f"{held.given}: cannot change to it ({error.strerror}). Use another directory") from error
    os.environ["PWD"] = path
    os.environ.pop(CHDIR.variable, None)  # commands that the application starts are in the directory already


def _set_variables(files: Files, held: Held) -> None:
    """Set the variables of a file that are not set. An empty one counts as set, as it does for other programs."""
    if not held.value:
        return
    try:
        found = read_env_file(Path(held.value))
    except ValueError as error:
        raise ConfigError(f"{held.given}: {error}") from error
    for row in _READ_BEFORE:
        if row.variable in found:
            raise ConfigError(
                f"{held.value}: {row.variable}={found[row.variable]}: it has no effect there. Use {row.flag}"
            )
    new = {name: text for name, text in found.items() if name not in os.environ}
    os.environ.update(new)
    files.env_file = held.value
    files.variables = {name: str(held.value) for name in new}
