"""WSGI module that uWSGI loads: it loads the application in the same way as the heliograph server does.

Only the uWSGI that `heliograph.cli.uwsgi_server` starts imports it.
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
    """Answer 503, for an application without a WSGI callable: uWSGI starts no workers without one."""
    start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
    return [b"This server handles signals only: its application has no WSGI callable.\n"]


if os.getpid() == uwsgi.master_pid:
    # uWSGI stops a worker with SIGINT. A worker that still runs post-fork hooks has inherited Python's handler from the
    # master. That handler only interrupts a hook, the worker continues, and uWSGI waits a minute for its exit.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

application = load(AppSpec.parse(str(uwsgi.config[APP_OPTION]), Path.cwd()))[1] or signals_only
