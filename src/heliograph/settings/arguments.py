"""The directory, the files and the arguments from which the settings of a server are read.

The rows are like those of the table of options. They are read before `ServerSettings` is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.settings.option_row import Option, option, options_of
from heliograph.settings.option_types import CommandTable, Text, Words


@dataclass(frozen=True, slots=True)
class Files:
    """The directory and the files from which settings are read, in this order."""

    chdir: str = option(
        Text(),
        "",
        "Change to DIR before anything else",
        "DIR",
        details="All relative paths begin there, and the application is imported from there.",
    )
    config: str = option(
        Text(),
        "",
        "Configuration file",
        "FILE",
        shown_default="heliograph.toml",
        details="Without it, `heliograph.toml` in the working directory is read, else `[tool.heliograph]` in "
        "`pyproject.toml` there. See [configuration](configuration.md).",
    )
    env_file: str = option(
        Text(),
        "",
        "Set the variables in FILE that are not set",
        "FILE",
        details="It has lines `KEY=VALUE`. See [configuration](configuration.md#a-file-of-variables). The option needs "
        "the extra `heliograph[dotenv]`.",
    )


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of `heliograph run`."""

    app: str = option(Text(), "", "Module of the application", "APP", flag="APP", variable="HELIOGRAPH_APP")
    command: tuple[str, ...] = option(
        Words(), (), "Command of the web server", "COMMAND", flag="COMMAND", variable="HELIOGRAPH_COMMAND"
    )


FILES: tuple[Option, ...] = options_of(Files)
CHDIR, CONFIG, ENV_FILE = FILES


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of the configuration file, which have neither a flag nor a variable."""

    commands: tuple[()] = option(CommandTable(), (), "Programs that the server runs besides", flag="commands")


ARGUMENTS: tuple[Option, ...] = options_of(Arguments)
(COMMANDS,) = options_of(Tables)
