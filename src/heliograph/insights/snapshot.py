"""The state of a server as `heliograph signals` shows it: counters from shared memory, the rest from the master."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from heliograph._core.signals.records import FETCHED, unfinished
from heliograph._core.stats.signal_rows import signal_rows
from heliograph.ipc.control_client import DEFAULT_TIMEOUT, ControlClient
from heliograph.ipc.inherited import topology_from_json
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Topology


class ServerView:
    """A connection to a server that only reads. Use it as a context manager.

    Raises:
        ServerNotRunning: No server listens there, or it does not answer.
        IncompatibleServer: The server runs another version of heliograph.
    """

    def __init__(self, path: Path, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Connect to the server with that control socket. `timeout` are the seconds that each answer may take."""
        self._client = ControlClient(path, timeout)
        try:
            result, descriptors = self._client.request_with_fds("memory")
            self._topology = topology_from_json(result["topology"])
            self._state: dict[str, Any] | None = result["state"]
            self._memory = _map(descriptors, self._topology)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def state(self) -> dict[str, Any]:
        """Return the server's present state."""
        state, self._state = self._state or self._client.request("state"), None
        queued = state["queued"] + self._fetched()
        memory = self._memory
        return {
            **state,
            "queued": queued,
            "rejected": memory.counters.rejected(),
            "signals": signal_rows(memory.live, memory.names, memory.counters, self._topology, queued),
        }

    def _fetched(self) -> int:
        """Return how many signals processes have taken from their queues and not started."""
        buffers = map(self._memory.in_flight, self._memory.processes)
        return sum(record.state == FETCHED for buffer in buffers for _, record in unfinished(buffer))


def read_state(path: Path, timeout: float = DEFAULT_TIMEOUT) -> dict[str, Any]:
    """Return the state of the server with that control socket. See `ServerView`."""
    with ServerView(path, timeout) as view:
        return view.state()


def _map(descriptors: tuple[int, ...], topology: Topology) -> SharedMemory:
    (fd,) = descriptors
    try:
        return SharedMemory.open_read_only(fd, topology)
    finally:
        # The mapping stays. Closing also drops locks (`fcntl.lockf`) that this process holds on the memory. A process
        # that sends signals itself holds one, so it must not read a server in this way.
        os.close(fd)
