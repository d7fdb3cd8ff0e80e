"""A server's processes: started in a session of their own, seen, ended together."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
"""Where `lib` can be imported from; every server starts here."""

_STOP = 5.0
"""Seconds that a killed server may take to be gone."""


@contextmanager
def running(command: Sequence[str], log: Path, environment: dict[str, str]) -> Generator[subprocess.Popen[bytes]]:
    """Start a server whose output goes to `log`, and end all its processes with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=HERE,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end the server
        )
    try:
        yield process
    finally:
        _stop(process)


def tail(log: Path) -> str:
    """What a server said last."""
    return log.read_text(errors="replace")[-2000:]


def session(leader: int) -> list[int]:
    """Every process of the session that this one leads."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return sorted(pid for pid in pids if _session_of(pid) == leader)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:  # ended while we looked
        return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the master and its children at once: nothing of theirs outlives them, and a kind stop takes a second."""
    for pid in session(process.pid):  # not only its process group: a server beside another has one of its own
        with suppress(ProcessLookupError):  # ended by itself, as one does whose application fails
            os.kill(pid, signal.SIGKILL)
    process.wait(_STOP)
