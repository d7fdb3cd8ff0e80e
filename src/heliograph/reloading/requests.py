"""Asks the master to reload, and says in one line what is wrong with code that does not load."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from heliograph.application import summary_of
from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import RequestFailed, request

_LOG = logging.getLogger("heliograph.reloader")

TIMEOUT = 900.0
"""Seconds to wait for the end of a reload, which takes as long as the application does."""
MAX_NAME = 200
"""Characters of a path in the log."""


def reason_for(changed: Sequence[str], directory: Path) -> str:
    """Describe changes in a few words: `shop/tasks.py changed`, `shop/tasks.py changed and 3 more`."""
    first = Path(changed[0])
    name = str(first.relative_to(directory) if first.is_relative_to(directory) else first)
    others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{name[-MAX_NAME:]} changed{others}"


def loaded_at(control: Path) -> float:
    """Return the time at which the server began to load the code that it runs, or tried to run last.

    Without an answer it is now: only later changes count.
    """
    try:
        return float(request(control, "state")["load_began_at"])
    except ConfigError as error:
        _LOG.debug("Cannot find out when the code was loaded: %s", error)
        return time.time()


def reload_in_thread(control: Path, reason: str) -> threading.Thread:
    """Ask for a reload, and return at once: the next change must not wait for its end."""
    thread = threading.Thread(target=_reload, args=(control, reason), name="reload", daemon=True)
    thread.start()
    return thread


def _reload(control: Path, reason: str) -> None:
    try:
        request(control, "reload", wait=True, reason=reason, timeout=TIMEOUT)
    except RequestFailed as error:
        if error.code == "load_failed":
            _LOG.warning("The new code does not load, the old code goes on: %s", summary_of(str(error), Path.cwd()))
        elif error.code == "web_server_failed":
            _LOG.warning("The web server does not start with the new code: %s", error)
        elif error.code != "stopping":
            _LOG.error("Cannot reload: %s", error)
    except ConfigError as error:
        if os.getppid() != 1:  # else the master has exited, and this process soon will
            _LOG.error("Cannot reload: %s", error)
