"""Log lines that say that a server is ready, and that a reload is complete."""

from __future__ import annotations

import logging

from heliograph._core.supervision import actions
from heliograph.server.dispatcher import Dispatcher
from heliograph.settings.known_web_servers import recycling_option
from heliograph.settings.options import ServerSettings

_LOG = logging.getLogger("heliograph.master")

_NOT_OF_WEB_SERVER = "%s not apply to the processes of the web server. Use its own option%s"


def log_progress(dispatcher: Dispatcher, settings: ServerSettings) -> None:
    """Log what the supervisor says, when the server is ready, and when a reload is complete."""

    def log_ready(_: actions.Ready) -> None:
        present = dispatcher.supervisor.present_processes
        _LOG.info("Server ready: %s of %s (name %s)", ", ".join(map(str, present)), settings.app, settings.name)

    _log_limits(settings)
    complete = "Reload complete (generation %d, %.1f s)"
    dispatcher.on(actions.Log, lambda action: _LOG.log(action.level, "%s", action.text))
    dispatcher.on(actions.Ready, log_ready)
    dispatcher.on(actions.ReloadComplete, lambda action: _LOG.info(complete, action.generation, action.seconds))


def _log_limits(settings: ServerSettings) -> None:
    """Log that limits do not apply to the processes of a web server: as a warning if they apply to no others."""
    limits = {"--max-rss": settings.max_rss, "--max-age": settings.max_age}
    if not settings.command or not (given := [flag for flag, value in limits.items() if value]):
        return
    level = logging.INFO if settings.mules or settings.spooler else logging.WARNING
    does = f"{' and '.join(given)} {'do' if len(given) > 1 else 'does'}"
    own = recycling_option(settings.command)
    _LOG.log(level, _NOT_OF_WEB_SERVER, does, f", {own}" if own else "")
