"""Waiting until a server is ready: one that loads its application, or one that is still to be started."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from heliograph._core.layout import IncompatibleServer
from heliograph.cli.errors import CommandError, Rejected
from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import ControlClient, RequestFailed, ServerNotRunning

_PAUSE = 0.1
"""Seconds between two attempts to connect to a server that does not run yet."""

_LEAST_TIMEOUT = 5.0
"""Seconds that a server may take to answer in any case. So `--wait-ready 0` is one look."""


def wait_until_ready(find: Callable[[], Path], seconds: float) -> None:
    """Wait until a server listens at the path that `find` returns, and all of its processes receive signals.

    Raises:
        Rejected: The application did not load.
        CommandError: The server was not ready in time.
        IncompatibleServer: It runs another version of heliograph, which does not know the request.
    """
    deadline = time.monotonic() + seconds
    while True:
        path = find()
        try:
            if _wait_at(path, deadline):
                return
        except ServerNotRunning:  # also at the deadline
            pass
        except RequestFailed as error:
            if error.code == "unknown_verb":
                raise IncompatibleServer("its control socket does not know this request") from error
            raise CommandError(str(error)) from error
        except ConfigError as error:
            raise CommandError(str(error)) from error
        if time.monotonic() >= deadline:
            raise CommandError(f"no server at {path} was ready within {seconds:g} s. Read its log.")
        time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))


def _wait_at(path: Path, deadline: float) -> bool:
    """Wait for a server that runs. Return False if it has stopped."""
    with ControlClient(path, max(_LEAST_TIMEOUT, deadline - time.monotonic())) as client:
        if client.request("details")["is_ready"]:
            return True
        for event in client.subscribe(until=deadline):
            # The first message is the state. It may have become complete since the answer before.
            if event.get("type") == "complete" or event.get("complete"):
                return True
            if event.get("type") == "load_failed":
                raise Rejected(f"the application did not load: {_last_line(event['reason'])}")
    return False


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
