"""The log of the master and of the processes that it starts: one format, on standard error.

The application's own configuration of logging keeps working. The logger `heliograph` has a handler of its own, so a
queue whose thread is not in a forked process swallows none of its lines. The root logger gets no handler: its lines go
to `logging.lastResort`, which does not keep `basicConfig` from working. Heliograph's loggers cannot be disabled, since
`dictConfig` and `fileConfig` disable all loggers that they do not name.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"
"""Time, level, logger, process id, message."""

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
"""From the least to the most severe."""

LOGGERS = (
    *("", ".master", ".local", ".signals", ".tasks", ".hooks", ".watching", ".web", ".inline", ".uwsgi"),
    ".reloader",
)
"""All loggers of heliograph, without the common prefix."""


class _EnabledLogger(logging.Logger):
    """A logger that stays enabled."""

    @property
    def disabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        pass


def protect_loggers() -> None:
    """Keep the loggers of heliograph enabled, whatever the application configures later."""
    for name in LOGGERS:
        logger = logging.getLogger(f"heliograph{name}")
        if type(logger) is logging.Logger:
            logger.__class__ = _EnabledLogger


def configure_logging(level: str, config: Path | None = None) -> None:
    """Log to standard error, and let heliograph's own loggers log from this level on.

    If the root logger has a handler already, that one takes heliograph's lines. `level` does not apply to the
    application's loggers, which log from INFO on. With `config`, that file decides where lines go.

    Raises:
        ValueError: The file cannot be used.
    """
    protect_loggers()
    logger = logging.getLogger("heliograph")
    logger.setLevel(level.upper())
    if config is not None:
        apply_log_config(config)
    elif not logging.getLogger().handlers:
        logging.getLogger().setLevel(logging.INFO)
        logging.lastResort = _handler()
        logging.lastResort.setLevel(logging.INFO)
        logger.addHandler(_handler())
        logger.propagate = False


def read_log_config(path: Path) -> dict[str, Any]:
    """Read the configuration for `logging.config.dictConfig` from a TOML file, or JSON if its name ends with `.json`.

    Raises:
        ValueError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # Imported here, since every application imports this module.
        config: object = importlib.import_module("json" if path.suffix == ".json" else "tomllib").loads(text)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ValueError(
            f"it cannot be read ({reason}). Use a TOML or JSON file for logging.config.dictConfig"
        ) from None
    if not isinstance(config, dict):
        raise ValueError("it has no table at its top. Use a TOML or JSON file for logging.config.dictConfig")  # noqa: TRY004
    return {"version": 1, **config}


def apply_log_config(path: Path) -> None:
    """Configure logging from a file. Raises: ValueError: the file cannot be used."""
    try:
        importlib.import_module("logging.config").dictConfig(read_log_config(path))
    except (TypeError, AttributeError, ImportError, OSError) as error:
        raise ValueError(f"logging cannot be configured from {path}: {error}") from error


def _handler() -> logging.StreamHandler[Any]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    return handler
