"""Ends the processes of commands when the master is killed and cannot do so itself.

The kernel sends SIGTERM to a command when its parent dies, but not to the processes that the command has started. So a
shell waits for the end of a pipe that only the master holds, and knows the process groups of the commands.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess

_LOG = logging.getLogger("heliograph.master")

GRACE = 5
"""Seconds between SIGTERM and SIGKILL."""
EXIT_TIMEOUT = 5.0
"""Seconds that the shell has to exit."""

_PROGRAM_ENV = "HELIOGRAPH_GUARD"
"""Environment variable of the shell with its program, which would be long in the output of `ps`."""
_PROGRAM = """
trap '' TERM INT HUP QUIT
groups=
while read -r change group; do
    left=
    for one in $groups; do [ "$one" = "$group" ] || left="$left $one"; done
    groups=$left
    [ "$change" = + ] && groups="$groups $group"
done
for one in $groups; do kill -s TERM -- "-$one"; done
tenths=0
while [ "$tenths" -lt $((10 * $1)) ]; do
    left=
    for one in $groups; do kill -s 0 -- "-$one" && left="$left $one"; done
    [ -z "$left" ] && exit
    groups=$left
    tenths=$((tenths + 1))
    sleep 0.1
done
for one in $groups; do kill -s KILL -- "-$one"; done
"""


class CommandGuard:
    """The shell, which runs as soon as there is a group to watch."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    def watch(self, group: int) -> None:
        """End a process group after the master."""
        self._groups.append(group)
        self._write(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """Do not end a group, whose number may soon be that of another one."""
        with contextlib.suppress(ValueError):
            self._groups.remove(group)
            self._write(f"- {group}\n")

    def close(self) -> None:
        """Let the shell exit, without ending a group."""
        for group in list(self._groups):
            self.forget(group)
        if self._process is not None:
            self._end(self._process)

    def _write(self, line: str) -> None:
        try:
            if self._process is None or not self._send(self._process, line):
                self._start()
        except OSError as error:
            _LOG.warning("Cannot guard the commands, so some processes may outlive a master that is killed: %s", error)

    def _start(self) -> None:
        """Start the shell, and name all groups to it."""
        process = subprocess.Popen(  # noqa: S603 - a program of our own
            ("/bin/sh", "-c", f'eval "${_PROGRAM_ENV}"', "heliograph-guard", str(GRACE)),
            env={"PATH": os.environ.get("PATH", os.defpath), _PROGRAM_ENV: _PROGRAM},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        self._process = process
        self._send(process, "".join(f"+ {group}\n" for group in self._groups))

    def _send(self, process: subprocess.Popen[bytes], lines: str) -> bool:
        """Write to the shell. Return False if it was killed."""
        assert process.stdin is not None
        try:
            process.stdin.write(lines.encode())
        except BrokenPipeError:
            self._end(process)
            return False
        return True

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self._process = None
        try:
            process.communicate(timeout=EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
