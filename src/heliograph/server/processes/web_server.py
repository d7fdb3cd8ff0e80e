"""The web server's command.

It has a process group of its own, so that all its processes can be killed at once. Exception: if standard input is a
terminal, the command stays in the master's group, since only one group may read from a terminal. `breakpoint()` then
works in a page and in a mule, and Ctrl-C, Ctrl-Z and `fg` reach all processes, as with the web server alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from heliograph.engines import MASTER_ENV
from heliograph.ipc.prctl import set_parent_death_signal
from heliograph.server.processes.child_environment import child_environment
from heliograph.server.processes.process_tree import descendants_in_group
from heliograph.settings.web_server_command import find_command, search_path

_FIRST_SOCKET = 3
"""Descriptor of the first socket that systemd passes."""
_SET_LISTEN_PID = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
"""Runs a program with its own process id in LISTEN_PID, which is unknown before the fork."""
_KILL_ROUNDS = 5
"""A process may fork while its parent is killed, so the search is repeated."""


class WebServerProcess:
    """Starts the command, and kills it with every process that it has started."""

    def __init__(
        self,
        command: Sequence[str],
        control: Path,
        directory: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`control` is the path of the control socket, where the command's processes find the master.

        `directory` is entered anew at each start. `environment` has further variables for the command.
        """
        self._environment = environment
        self._directory = directory or Path.cwd()
        self.command = tuple(command)
        self.pid = 0
        self._control = control
        self._shares_group = False

    def start(self) -> int:
        """Start the command, and return its process id. Raises: OSError: it cannot be started."""
        own = {"PATH": search_path(), "PWD": str(self._directory), MASTER_ENV: str(self._control)}
        program = find_command(self.command[0]) or self.command[0]  # python finds its virtualenv by this path
        sockets = activated_sockets()
        self._shares_group = _stdin_is_terminal()
        process = subprocess.Popen(  # noqa: S603 - running this command is the purpose
            (*(_SET_LISTEN_PID if sockets else ()), program, *self.command[1:]),
            cwd=self._directory,
            env={**child_environment(), **self._environment, **own},
            pass_fds=sockets,
            process_group=None if self._shares_group else 0,
            preexec_fn=partial(set_parent_death_signal, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - the master has no other threads
        )
        process.returncode = 0  # The master reaps its children itself.
        self.pid = process.pid
        return self.pid

    def kill(self, spared: Collection[int] = ()) -> None:
        """Kill the command and all processes that it has started.

        Call it before the command is reaped, also if it has exited: the id of its group cannot be reused until then.
        `spared` are the other processes of the server, which may be in the same group.
        """
        if self._shares_group:
            _kill_all_but(spared)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


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
