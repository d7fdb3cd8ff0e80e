"""The verbs of the control protocol: the requests of clients, and the right that each needs.

To add a verb, write a method and a row in `table`. docs/reference/control-protocol.md lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from heliograph.ipc.inherited import InheritedState
from heliograph.server.services.changes import STOPPING, Changes, Status
from heliograph.server.services.control import Answer, Call, Refused, Verb

MAX_RUNS = 1000
"""Runs of the schedule that one request returns."""
DEFAULT_RUNS = 10


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of the master that the verbs use."""

    status: Callable[[], Status]
    facts: Callable[[], Mapping[str, Any]]
    """Facts that only the master knows, for `heliograph signals`: name, app, pid, queued, triggers."""
    inherited: Callable[[], InheritedState]
    triggers: Callable[[], Mapping[str, int]]
    """Names of the declared triggers, and their signals."""
    join: Callable[[int], int]
    """Makes the process of that id a worker, and returns its number. 0 if there is none. Raises `Refused`."""
    upcoming: Callable[[int], Sequence[tuple[float, str, int]]]
    reload: Callable[[], None]
    stop: Callable[[], None]


class Verbs:
    """Carries out the verbs."""

    def __init__(self, server: Operations, changes: Changes) -> None:
        self._server = server
        self._changes = changes

    def table(self) -> dict[str, Verb]:
        """Return all verbs by name."""
        return {
            "attach": Verb(self._attach, "control"),
            "join": Verb(self._join, "control"),
            "state": Verb(self._state, "read"),
            "memory": Verb(self._memory, "read"),
            "schedule": Verb(self._schedule, "read", {"count": int}),
            "subscribe": Verb(self._subscribe, "read"),
            "reload": Verb(self._reload, "control", {"wait": bool}),
            "stop": Verb(self._stop, "control", {"wait": bool}),
        }

    def _attach(self, _call: Call) -> Answer:
        """Pass a process of the web server everything that it needs to send signals, and to receive them later."""
        inherited = self._server.inherited()
        result = {"inherited": inherited.to_json(), "triggers": dict(self._server.triggers())}
        return Answer(result, tuple(inherited.descriptors.values()))

    def _join(self, call: Call) -> Answer:
        """Make the client a worker."""
        return Answer({"worker": self._server.join(call.pid)})

    def _state(self, _call: Call) -> Answer:
        """Return what only the master knows."""
        return Answer({**self._server.facts(), **self._server.status().to_json()})

    def _memory(self, call: Call) -> Answer:
        """Return the state, and a descriptor of the shared memory that can only be read."""
        inherited = self._server.inherited()
        memory = os.open(f"/proc/self/fd/{inherited.memory}", os.O_RDONLY | os.O_CLOEXEC)
        state = self._state(call).result
        return Answer({"topology": asdict(inherited.settings.topology), "state": state}, (memory,), owned=(memory,))

    def _schedule(self, call: Call) -> Answer:
        """Return the next runs of timers and cron rules."""
        count = max(0, min(call.arguments.get("count", DEFAULT_RUNS), MAX_RUNS))
        runs = self._server.upcoming(count)
        return Answer({"runs": [{"at": at, "name": name, "signal": num} for at, name, num in runs]})

    def _subscribe(self, call: Call) -> Answer:
        """Return the state, and push its changes."""
        return Answer(self._changes.subscribe(call).to_json())

    def _reload(self, call: Call) -> Answer | None:
        """Load the application again. With `wait`, answer when the new code runs everywhere or failed to load."""
        if self._server.status().stopping:
            raise Refused("stopping", STOPPING)
        self._server.reload()
        if not call.arguments.get("wait", True):
            return Answer({"pid": os.getpid()})
        self._changes.wait_for_reload(call)
        return None

    def _stop(self, call: Call) -> Answer | None:
        """Stop the server. With `wait`, answer when all processes have exited."""
        self._server.stop()
        if not call.arguments.get("wait", True):
            return Answer({"pid": os.getpid()})
        self._changes.wait_for_stop(call)
        return None
