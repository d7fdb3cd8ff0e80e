"""The verbs of the control protocol: the requests of clients, and the right that each needs.

To add a verb, write a method and a row in `table`. docs/reference/control-protocol.md lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from heliograph.ipc.inherited import InheritedState
from heliograph.server.services.changes import STOPPING, Changes, Status
from heliograph.server.services.control import Answer, Call, Refused, Verb

MAX_RUNS = 1000
"""Runs of the schedule that one request returns."""
DEFAULT_RUNS = 10
MAX_REASON = 300
"""Characters of the reason for a reload in the log."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of the master that the verbs use."""

    status: Callable[[], Status]
    facts: Callable[[], Mapping[str, Any]]
    """Facts that only the master knows, for `heliograph signals`: name, app, pid, queued, triggers."""
    details: Callable[[], Mapping[str, Any]]
    """Facts that only the master knows, for `heliograph status`. See `heliograph.server.details`."""
    inherited: Callable[[], InheritedState]
    triggers: Callable[[], Mapping[str, int]]
    """Names of the declared triggers, and their signals."""
    join: Callable[[int, bool], int]
    """Makes the process of that id a worker, and returns its number. 0 if there is none. Raises `Refused`.

    The second argument is True if the process asks because of its first request."""
    send: Callable[[str], int]
    """Sends the signal with that name, number or handler, and returns its number. Raises `Refused`."""
    pipe_of: Callable[[int], tuple[int, ...]]
    """Returns the end of the pipe that a process which joined holds as long as it is a worker. The caller closes it."""
    upcoming: Callable[[int], Sequence[tuple[float, str, int]]]
    reload: Callable[[str], None]
    """Begins a reload. The argument is its reason, for the log. It may be empty."""
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
            "join": Verb(self._join, "control", {"at_request": bool}),
            "state": Verb(self._state, "read"),
            "memory": Verb(self._memory, "read"),
            "details": Verb(self._details, "read"),
            "schedule": Verb(self._schedule, "read", {"count": int}),
            "send": Verb(self._send, "control", {"signal": str}),
            "subscribe": Verb(self._subscribe, "read"),
            "reload": Verb(self._reload, "control", {"wait": bool, "reason": str}),
            "stop": Verb(self._stop, "control", {"wait": bool}),
        }

    def _attach(self, _call: Call) -> Answer:
        """Pass a process of the web server everything that it needs to send signals, and to receive them later."""
        inherited = self._server.inherited()
        result = {"inherited": inherited.to_json(), "triggers": dict(self._server.triggers())}
        return Answer(result, tuple(inherited.descriptors.values()))

    def _join(self, call: Call) -> Answer:
        """Make the client a worker until it closes the descriptor that comes with the number, or exits."""
        number = self._server.join(call.pid, call.arguments.get("at_request", False))
        pipe = self._server.pipe_of(call.pid)
        # Without a pipe, the place is that of a process that has exited and had the same id, or of this one, which did
        # not get the answer. The master soon notices either, and the client asks again.
        return Answer({"worker": number if pipe else 0}, pipe, owned=pipe)

    def _state(self, _call: Call) -> Answer:
        """Return what only the master knows."""
        return Answer({**self._server.facts(), **self._server.status().to_json()})

    def _details(self, _call: Call) -> Answer:
        """Return everything that only the master knows: processes and their exits, queues, triggers and their runs."""
        return Answer(self._server.details())

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

    def _send(self, call: Call) -> Answer:
        """Send a signal to its target."""
        if "signal" not in call.arguments:
            raise Refused("bad_argument", "send needs the argument signal: a name, a number or module:function.")
        return Answer({"signal": self._server.send(call.arguments["signal"])})

    def _subscribe(self, call: Call) -> Answer:
        """Return the state, and push its changes."""
        return Answer(self._changes.subscribe(call).to_json())

    def _reload(self, call: Call) -> Answer | None:
        """Load the application again. With `wait`, answer when the new code runs everywhere or failed to load."""
        if self._server.status().stopping:
            raise Refused("stopping", STOPPING)
        reason = "".join(filter(str.isprintable, call.arguments.get("reason", "")))[:MAX_REASON]
        begin = partial(self._server.reload, reason)
        if call.arguments.get("wait", True):
            self._changes.wait_for_reload(call, begin)
            return None
        begin()
        return Answer({"pid": os.getpid()})

    def _stop(self, call: Call) -> Answer | None:
        """Stop the server. With `wait`, answer when all processes have exited."""
        if call.arguments.get("wait", True):
            self._changes.wait_for_stop(call, self._server.stop)
            return None
        self._server.stop()
        return Answer({"pid": os.getpid()})
