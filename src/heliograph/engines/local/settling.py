"""A process of a web server that reloads itself waits until the heliograph server has loaded the same code.

Both see the same change of a file, and either may be faster. A process that attaches before the new code is loaded
would find the numbers of the old code, and would disagree with the server.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import request
from heliograph.ipc.inherited import SETTLE_ENV

SETTLE = 0.5
"""Seconds in which the server notices a change that the web server has noticed."""
LOAD_TIMEOUT = 30.0
"""Seconds to wait for the load."""
_POLL = 0.05


def await_same_code(control: Path) -> None:
    """Wait until the server has noticed a change and loaded the new code, or has failed to."""
    if not os.environ.get(SETTLE_ENV):
        return
    time.sleep(SETTLE)
    until = time.monotonic() + LOAD_TIMEOUT
    with contextlib.suppress(ConfigError):  # the server does not answer, which the caller will see
        while request(control, "state", timeout=_POLL * 40)["loading"] and time.monotonic() < until:
            time.sleep(_POLL)
