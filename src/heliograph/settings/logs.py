"""The log of the master and of the processes that it starts: one format, on standard error."""

from __future__ import annotations

import logging

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"
"""Time, level, logger, process id, message."""

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
"""From the least to the most severe."""


def configure_logging(level: str) -> None:
    """Log to standard error, and let heliograph's own loggers log from this level on.

    The root logger gets a handler, and level INFO, unless it has a handler already. `level` does not apply to the
    application's loggers.
    """
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    logging.getLogger("heliograph").setLevel(level.upper())
