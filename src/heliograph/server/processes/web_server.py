"""The web server's command.

It has a process group of its own, so that all its processes can be killed at once. Exception: if standard input is a
terminal, the command stays in the master's group, since only one group may read from a terminal. `breakpoint()` then
works in a page and in a mule, and Ctrl-C, Ctrl-Z and `fg` reach all processes, as with the web server alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from heliograph.ipc.inherited import COMMAND_ENV
from heliograph.server.processes.command import CommandProcess
from heliograph.server.processes.process_tree import descendants_in_group
from heliograph.settings.commands import Command

_FIRST_SOCKET = 3
"""Descriptor of the first socket that systemd passes."""
_SET_LISTEN_PID = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
"""Runs a program with its own process id in LISTEN_PID, which is unknown before the fork."""
_KILL_ROUNDS = 5
"""A process may fork while its parent is killed, so the search is repeated."""


class WebServerProcess(CommandProcess):
    """Starts the web server, whose processes join. It gets the sockets of systemd."""

    def __init__(
        self,
        command: Sequence[str],
        control: Path,
        directory: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(Command("web server", tuple(command)), control, directory, environment)
        self._shares_group = False

    def drain(self) -> None:
        """Send SIGTERM to the command, which stops its processes itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self, spared: Collection[int] = ()) -> None:
        if self._shares_group:
            _kill_all_but(spared)
        else:
            super().kill()

    def _variables(self) -> dict[str, str]:
        return {name: value for name, value in super()._variables().items() if name != COMMAND_ENV}

    def _prefix(self) -> tuple[str, ...]:
        return _SET_LISTEN_PID if activated_sockets() else ()

    def _options(self) -> dict[str, Any]:
        self._shares_group = _stdin_is_terminal()
        return {"process_group": None if self._shares_group else 0, "pass_fds": activated_sockets()}


def _kill_all_but(spared: Collection[int]) -> None:
    for _ in range(_KILL_ROUNDS):
        pids = descendants_in_group(spared)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            return


def _stdin_is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def activated_sockets() -> tuple[int, ...]:
    """Return the descriptors of the sockets that systemd passed to this process, by its socket activation."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return ()
    return tuple(range(_FIRST_SOCKET, _FIRST_SOCKET + int(count)))
