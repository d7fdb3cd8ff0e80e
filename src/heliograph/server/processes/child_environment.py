"""The environment variables that the master passes on to the processes that it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from heliograph.ipc.inherited import COMMAND_ENV, SETTLE_ENV

NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
"""Variables of systemd for the main process of a service, which is the master."""


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables without those for the main process: gunicorn would report that the service is ready.

    The command of another server may be the master of this one.
    """
    own = {NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, COMMAND_ENV, SETTLE_ENV}
    return {name: value for name, value in environ.items() if name not in own}
