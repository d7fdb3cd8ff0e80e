"""The state of a server as the values of `heliograph.insights.model`.

The reader pays for what it looks at. It asks the master only for facts that no other process knows, and finds the rest
itself: the counters in the shared memory, the memory of processes, the tasks in their store.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec

from heliograph._core.layout import IncompatibleServer
from heliograph.insights.health import problems
from heliograph.insights.model import HostState, ServerState, StoreState
from heliograph.insights.processes import Limits, ProcessReader
from heliograph.insights.signals import SignalReader
from heliograph.insights.store import StoreReader
from heliograph.ipc.control_client import DEFAULT_TIMEOUT, ConnectionLost, ControlClient
from heliograph.ipc.inherited import topology_from_json
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Topology


class ServerReader:
    """Looks at a server again and again. Use it as a context manager, in one thread at a time.

    It keeps the connection, the shared memory and the store open. If the server was restarted, it looks at the new one.

    Raises:
        ServerNotRunning: No server listens there, or it does not answer. The next `look` tries again.
        IncompatibleServer: The server runs another version of heliograph.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        memory: bool = True,
        memory_age: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Look at the server with that control socket. Nothing is opened before the first `look`.

        Args:
            path: The control socket.
            timeout: Seconds that each answer may take.
            memory: Find the memory (PSS) of the processes. That takes about a millisecond for each.
            memory_age: Seconds for which a process's memory is not looked at again.
            clock: Returns seconds since 1970.
        """
        self._path, self._timeout, self._clock = path, timeout, clock
        self._client: ControlClient | None = None
        self._memory: tuple[SharedMemory, Topology] | None = None
        self._server: tuple[int, float] | None = None
        self._processes = ProcessReader(memory=memory, memory_age=memory_age)
        self._store: StoreReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close everything. A later `look` opens it again."""
        self._disconnect()
        if self._store is not None:
            self._store.close()
            self._store = None

    def look(self) -> ServerState:
        """Return the present state of the server."""
        try:
            return self._state(self._facts())
        except (KeyError, msgspec.ValidationError) as error:
            self._disconnect()
            raise IncompatibleServer(f"other facts about its state: {error}") from error
        except BaseException:
            self._disconnect()
            raise

    def _facts(self) -> dict[str, Any]:
        """Ask the master. It closes a connection that was silent for 5 seconds."""
        if self._client is not None:
            try:
                return self._client.request("details")
            except ConnectionLost:
                self._client.close()
        self._client = ControlClient(self._path, self._timeout)
        return self._client.request("details")

    def _state(self, facts: dict[str, Any]) -> ServerState:
        now = self._clock()
        memory, topology = self._shared_memory((facts["pid"], facts["started_at"]))
        reader = SignalReader(memory, topology, now - time.monotonic())
        queued = {queue["name"]: queue["queued"] for queue in facts["queues"]}
        signals = reader.look(sum(queued.values()))
        store = self._store_of(facts, now)
        limits = Limits(facts["overdue"], signals, store)
        rejected, rejected_at = reader.rejected()
        targets = {signal.num: signal.target for signal in signals}
        own = {
            "looked_at": now,
            "processes": [self._processes.describe(fact, queued, reader, limits, now) for fact in facts["processes"]],
            "triggers": [{**fact, "target": targets.get(fact["num"], "")} for fact in facts["triggers"]],
            "rejected": rejected,
            "rejected_at": rejected_at,
        }
        rest: dict[str, Any] = {"problems": (), "signals": (), "store": None}
        state = replace(
            msgspec.convert({**facts, **own, **rest}, ServerState),
            signals=signals,
            store=store,
            hosts=(_this_host(),),
        )
        return replace(state, problems=problems(state))

    def _shared_memory(self, server: tuple[int, float]) -> tuple[SharedMemory, Topology]:
        """Return the memory of the server. A master with another process id, or start, has another one."""
        known = self._server
        if self._memory is None or known is None or known[0] != server[0] or abs(known[1] - server[1]) > 1.0:
            assert self._client is not None
            result, (fd,) = self._client.request_with_fds("memory")
            try:
                topology = topology_from_json(result["topology"])
                self._memory = SharedMemory.open_read_only(fd, topology), topology
            finally:
                os.close(fd)  # the mapping stays, see `snapshot`
            self._server = server
        return self._memory

    def _store_of(self, facts: dict[str, Any], now: float) -> StoreState | None:
        directory = Path(facts["tasks"])
        if self._store is None or self._store.directory != directory:
            if self._store is not None:
                self._store.close()
            self._store = StoreReader(directory)
        return self._store.look(now, fault=facts["tasks_fault"], sync=facts["task_sync"])

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._memory = self._server = None


def read_server(path: Path, timeout: float = DEFAULT_TIMEOUT, *, memory: bool = True) -> ServerState:
    """Return the state of the server with that control socket. See `ServerReader`."""
    with ServerReader(path, timeout=timeout, memory=memory) as reader:
        return reader.look()


def _this_host() -> HostState:
    return HostState(os.uname().nodename, os.cpu_count() or 1, os.getloadavg()[0])
