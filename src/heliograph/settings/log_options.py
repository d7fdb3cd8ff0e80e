"""Options of the log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliograph.settings.logs import LOG_LEVELS
from heliograph.settings.option_row import LOCAL, option
from heliograph.settings.option_types import Choice
from heliograph.settings.path_types import LogConfigFile


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """The log."""

    log_level: str = option(
        Choice(LOG_LEVELS),
        "info",
        "Log level, debug to critical",
        "LEVEL",
        details="`debug`, `info`, `warning`, `error` or `critical`. It applies to heliograph's own lines, see "
        "[logging](logging.md).",
        engines=(LOCAL,),
        instead="uWSGI has log options of its own",
    )
    log_config: Path | None = option(
        LogConfigFile(),
        None,
        "Configure logging from a TOML or JSON file",
        "FILE",
        details="The content is that of `logging.config.dictConfig`. It applies to the master and to all processes "
        "that it starts. `--log-level` still sets the level of heliograph's own loggers that the file does not name.",
        engines=(LOCAL,),
        instead="uWSGI has log options of its own",
    )
