"""The handlers of the Unix signals that the master gets."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from functools import partial

from heliograph._core.supervision.events import ReloadRequested, StopRequested
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.operations import ServerOperations
from heliograph.server.terminal import Terminal

_LOG = logging.getLogger("heliograph.master")


def unix_handlers(dispatcher: Dispatcher, operations: ServerOperations) -> dict[int, Callable[[float], None]]:
    """Return the handlers of the master's Unix signals."""
    return {
        signal.SIGTERM: partial(dispatcher.handle, StopRequested()),
        signal.SIGINT: partial(dispatcher.handle, StopRequested()),
        signal.SIGQUIT: partial(dispatcher.handle, StopRequested(immediately=True)),
        signal.SIGHUP: partial(_on_sighup, dispatcher, Terminal()),
        signal.SIGUSR1: lambda _: _LOG.info("State: %s", json.dumps(operations.state())),
    }


def _on_sighup(dispatcher: Dispatcher, terminal: Terminal, now: float) -> None:
    """Stop if the terminal was closed, unless `nohup` started the server. Reload otherwise."""
    if not terminal.on_hangup():
        dispatcher.handle(ReloadRequested(), now)
    elif not terminal.survives:
        _LOG.info("Terminal closed, stopping")
        dispatcher.handle(StopRequested(), now)
