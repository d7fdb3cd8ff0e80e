"""The module that uWSGI loads in place of the application: it loads the application the way `heliograph run` does.

It exists only inside the server that `heliograph.cli.uwsgi_server` starts.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from heliograph.application import AppSpec, load
from heliograph.cli.uwsgi_server import APP_OPTION
from heliograph.runtime import uwsgi


def signals_only(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # noqa: ARG001
    """What a server without a WSGI application answers: uWSGI starts no workers without a callable."""
    start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
    return [b"This server handles signals only: its application has no WSGI callable.\n"]


if os.getpid() == uwsgi.master_pid:
    # uWSGI ends a worker with SIGINT. Until the worker has uWSGI's handler for that it has the master's, which is
    # Python's: it only interrupts a post-fork hook, and the server waits a minute for a worker that goes on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

application = load(AppSpec.parse(str(uwsgi.config[APP_OPTION]), Path.cwd()))[1] or signals_only
