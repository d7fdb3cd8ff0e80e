"""Start a server in its own session, list its processes, and kill them all."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
"""Directory that contains `lib`. Every server starts in it."""

_STOP_TIMEOUT = 5.0
"""Seconds to wait for a killed server to exit."""


@contextmanager
def running(command: Sequence[str], log: Path, environment: dict[str, str]) -> Generator[subprocess.Popen[bytes]]:
    """Start a server that writes to `log`, and kill all its processes when the block ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=HERE,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C reaches only this process, which then stops the server
        )
    try:
        yield process
    finally:
        _stop(process)


def tail(log: Path) -> str:
    """Return the end of a server's log."""
    return log.read_text(errors="replace")[-2000:]


def session(leader: int) -> list[int]:
    """Return the ids of all processes in the session of `leader`."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return sorted(pid for pid in pids if _session_of(pid) == leader)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:  # it exited in the meantime
        return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the master and its children at once. A graceful stop takes a second longer and is not measured."""
    for pid in session(process.pid):  # a web server that heliograph starts has its own process group
        with suppress(ProcessLookupError):  # it has already exited
            os.kill(pid, signal.SIGKILL)
    process.wait(_STOP_TIMEOUT)
