"""The stacks of a server's processes: where their threads are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph._core.thread_stacks import ThreadStack, parse_stack
from heliograph.ipc.control_client import DEFAULT_TIMEOUT, request


@dataclass(frozen=True, slots=True)
class ProcessStacks:
    """The answer of one process."""

    process: str
    """`mule1`, `master`, or `fork-server2`: a fork server, with the generation of its code."""
    pid: int | None
    since: float | None
    """Time at which the process was started, in seconds since 1970-01-01 UTC. None: it is not known."""
    threads: tuple[ThreadStack, ...]
    """The main thread is the first. Threads of libraries in C are left out."""
    error: str | None
    """Reason for which there is no answer, or not that of every thread."""


def read_stacks(path: Path, processes: Sequence[str] = (), timeout: float = DEFAULT_TIMEOUT) -> list[ProcessStacks]:
    """Return the stacks of these processes of the server with that control socket. None given: of all.

    It takes a few milliseconds, and 5 seconds if one of the processes does not answer.

    Raises:
        ServerNotRunning: No server listens there, or it does not answer.
        RequestFailed: The server has no such process.
    """
    rows: list[dict[str, Any]] = request(path, "stack", processes=list(processes), timeout=timeout)["processes"]
    return [
        ProcessStacks(
            row["process"],
            row["pid"],
            row["since"],
            tuple(parse_stack(thread["id"], thread["name"], thread["text"]) for thread in row["threads"]),
            row["error"],
        )
        for row in rows
    ]
