"""Handlers and hooks that close descriptors that heliograph uses, as `os.closerange(3, 1024)` does."""

from __future__ import annotations

import errno
import os
import select
from typing import NoReturn

from heliograph._core.tolerant_logging import tolerant_logger

_LOG = tolerant_logger("heliograph.local")

_CLOSED = frozenset({errno.EBADF, errno.EINVAL})
"""Errors of a poll whose descriptor was closed, or is another file now."""
_TEXT = (
    "Process %d ends and is replaced: a handler or a hook has closed descriptors that heliograph uses (%s). "
    "Close only what your code has opened"
)


def explain(error: OSError) -> str:
    """Return why a write to a queue failed, for a message."""
    reason = error.strerror or error
    return f"this process has closed a descriptor that heliograph uses ({reason}). Close only what your code has opened"


def end_if_closed(epoll: select.epoll) -> None:
    """End this process if it cannot receive any more. Its successor handles what is in flight."""
    try:
        epoll.poll(0)
    except OSError as error:
        end(error)


def end(error: OSError) -> NoReturn:
    """End this process if an error of a poll means that the descriptor was closed. Raise the error otherwise."""
    if error.errno not in _CLOSED:
        raise error
    _LOG.error(_TEXT, os.getpid(), error.strerror)
    raise SystemExit(1)
