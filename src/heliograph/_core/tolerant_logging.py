"""Loggers that never raise.

Code of an application may close `sys.stderr`, or add a handler that raises. A line that cannot be written must not end
the process, nor change how a task ends.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import MutableMapping
from typing import Any


class TolerantLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose methods drop what its handlers cannot write."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Keep the caller as the place of the record."""
        return msg, {"stacklevel": 2, **kwargs}

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line if that is possible."""
        with contextlib.suppress(Exception):
            super().log(level, msg, *args, **kwargs)

    def handle(self, record: logging.LogRecord) -> None:
        """Log a record if that is possible."""
        with contextlib.suppress(Exception):
            self.logger.handle(record)


def tolerant_logger(name: str) -> TolerantLogger:
    """Return the logger of that name, as one that never raises."""
    return TolerantLogger(logging.getLogger(name))
