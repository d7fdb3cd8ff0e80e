"""Log lines that say that a server is ready, and that a reload is complete."""

from __future__ import annotations

import logging

from heliograph._core.supervision import actions
from heliograph.server.dispatcher import Dispatcher
from heliograph.settings.options import ServerSettings

_LOG = logging.getLogger("heliograph.master")


def log_progress(dispatcher: Dispatcher, settings: ServerSettings) -> None:
    """Log what the supervisor says, when the server is ready, and when a reload is complete."""

    def log_ready(_: actions.Ready) -> None:
        present = dispatcher.supervisor.present_processes
        _LOG.info("Server ready: %s of %s (name %s)", ", ".join(map(str, present)), settings.app, settings.name)

    complete = "Reload complete (generation %d, %.1f s)"
    dispatcher.on(actions.Log, lambda action: _LOG.log(action.level, "%s", action.text))
    dispatcher.on(actions.Ready, log_ready)
    dispatcher.on(actions.ReloadComplete, lambda action: _LOG.info(complete, action.generation, action.seconds))
