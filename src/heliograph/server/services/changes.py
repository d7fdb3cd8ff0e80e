"""Changes of a server's state: clients that wait for one, and events for subscribers.

The master calls `publish` at the end of each turn of its loop. That compares the state with the one of the turn before,
so a process that exits and is replaced within one turn is one event. Without waiting clients `publish` does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph._core.supervision.supervisor import Supervisor
from heliograph.server.services.control import Call, Refused

STOPPING = "the server is stopping. Start it again with `heliograph run`."


@dataclass(frozen=True, slots=True)
class Status:
    """The part of a server's state whose changes are pushed."""

    generation: int
    """The generation of the application that processes are forked from."""
    newest: int
    """The newest generation, which may still be loading, or have failed to load."""
    requested: int
    """The generation that a reload waits for: newer than `newest` if the application will be loaded once more."""
    loading: bool
    complete: bool
    """True if every process runs the code of `generation` and is ready."""
    stopping: bool
    failed: int
    """The last generation that failed to load. 0 if none did."""
    reason: str
    """Reason of the failure."""
    processes: Mapping[str, int]
    reloaded: bool = False
    """True if `complete`, except for workers that a reload cannot wait for."""
    not_awaited: tuple[str, ...] = ()
    """Names of those workers."""
    web_server_failure: str = ""
    """Exit of a web server that does not start. Empty if it works."""
    web_workers: tuple[int, int] | None = None
    """Number of workers that run, and of those expected, if they are processes of a web server. Else None."""

    @classmethod
    def of(cls, supervisor: Supervisor) -> Status:
        """Return the state that a supervisor has now."""
        return cls(
            generation=supervisor.generation,
            newest=supervisor.newest_generation,
            requested=supervisor.requested_generation,
            loading=supervisor.loading,
            complete=supervisor.complete,
            stopping=supervisor.stopping,
            failed=supervisor.failed_generation,
            reason=supervisor.failure,
            processes={str(process): pid for process, pid in supervisor.pids().items()},
            reloaded=supervisor.reloaded,
            not_awaited=tuple(map(str, supervisor.not_awaited)),
            web_server_failure=supervisor.web_server_failure,
            web_workers=supervisor.web_workers,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON for clients."""
        return {
            "generation": self.generation,
            "loading": self.loading,
            "complete": self.complete,
            "stopping": self.stopping,
            "processes": dict(self.processes),
            "web_server": self._web_server(),
        }

    def _web_server(self) -> dict[str, Any] | None:
        if self.web_workers is None:
            return None
        running, expected = self.web_workers
        return {"failure": self.web_server_failure or None, "workers": running, "expected": expected}


def events_between(before: Status, after: Status) -> Iterator[dict[str, Any]]:
    """Yield the events that lead from one state to the next."""
    if after.newest > before.newest and after.loading:
        yield {"type": "loading", "generation": after.newest}
    if after.failed > before.failed:
        yield {"type": "load_failed", "generation": after.failed, "reason": after.reason}
    if after.generation > before.generation:
        yield {"type": "generation", "generation": after.generation}
    yield from _process_events(before.processes, after.processes)
    if after.complete and not before.complete:
        yield {"type": "complete", "generation": after.generation}
    if after.stopping and not before.stopping:
        yield {"type": "stopping"}


def _process_events(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for process in [*before, *(process for process in after if process not in before)]:
        old, new = before.get(process), after.get(process)
        if old == new:
            continue
        if new is None:
            yield {"type": "process_exited", "process": process, "pid": old}
        elif old is None:
            yield {"type": "process_started", "process": process, "pid": new}
        else:
            yield {"type": "process_replaced", "process": process, "pid": new, "old_pid": old}


class Changes:
    """Tells clients of the control socket about changes."""

    def __init__(self, status: Callable[[], Status]) -> None:
        """`status` returns the present state."""
        self._status = status
        self._before: Status | None = None
        self._subscribers: list[Call] = []
        self._reloads: list[tuple[Call, int]] = []
        self._stops: list[Call] = []

    def subscribe(self, call: Call) -> Status:
        """Push all changes to a client from now on. Return the present state.

        Raises:
            Refused: Too many clients wait.
        """
        call.hold()
        self.publish()  # the others get the changes until now
        self._before = self._status()
        self._subscribers.append(call)
        return self._before

    def wait_for_reload(self, call: Call, begin: Callable[[], None]) -> None:
        """Begin a reload, and answer a client when the newest generation runs everywhere, or has failed to load.

        Raises:
            Refused: Too many clients wait, or the server is stopping. Nothing has begun then.
        """
        if self._status().stopping:
            raise Refused("stopping", STOPPING)
        call.hold()
        begin()
        self._reloads.append((call, self._status().requested))
        self.publish()  # the load may have failed already

    def wait_for_stop(self, call: Call, begin: Callable[[], None]) -> None:
        """Begin a stop, and answer a client when all processes have exited.

        Raises:
            Refused: Too many clients wait. Nothing has begun then.
        """
        call.hold()
        begin()
        self._stops.append(call)

    def publish(self) -> None:
        """Push the changes since the last call."""
        if not self._subscribers and not self._reloads:
            self._before = None
            return
        status = self._status()
        self._reloads = [
            (call, generation)
            for call, generation in self._reloads
            if call.is_open and not _settle(call, generation, status)
        ]
        self._subscribers = [call for call in self._subscribers if call.is_open]
        if self._before is not None and status != self._before:
            for event in events_between(self._before, status):
                for call in self._subscribers:
                    call.push(event)
        self._before = status

    def stopped(self, code: int | None, *, ends_process: bool = False) -> None:
        """Answer all clients that wait for the end of the server. `code` is its exit code. None: it failed to start.

        `ends_process`: this process exits now. Clients can wait for that too.
        """
        for call in self._stops:
            call.finish({"exit_code": code} | ({"ends_process": True} if ends_process else {}))
        for call, _ in self._reloads:
            call.fail("stopping", STOPPING)
        for call in self._subscribers:
            call.push({"type": "stopped", "exit_code": code})


def _settle(call: Call, generation: int, status: Status) -> bool:
    """Answer a client that waits for a generation. Return False if it has to wait on."""
    if status.generation >= generation and status.reloaded:
        others = {"not_awaited": list(status.not_awaited)} if status.not_awaited else {}
        call.finish({"generation": status.generation, **others})
    elif status.failed >= generation > status.generation:
        call.fail("load_failed", status.reason)
    elif status.stopping:
        call.fail("stopping", STOPPING)
    elif status.generation >= generation and status.web_server_failure:
        call.fail("web_server_failed", status.web_server_failure)
    else:
        return False
    return True
