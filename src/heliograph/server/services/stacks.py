"""The verb `stack`: where the threads of the server's processes are.

The master asks all processes of a request at the same time, and looks for their answers a few times within a few
milliseconds. Requests for the same process that come in the meantime share its answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from heliograph._core.supervision.state import ServerState
from heliograph.ipc.stack_files import own_stack, stack_name
from heliograph.loop import NEVER, Loop, Service
from heliograph.models import Identity
from heliograph.server.services.control import Answer, Call, Refused, Verb
from heliograph.server.services.stack_dump import MAX_BYTES as MAX_PROCESS_BYTES
from heliograph.server.services.stack_dump import StackDump

MAX_BYTES = 4 << 20
"""Bytes of stacks in an answer. Each process gets an equal part."""
_FIRST_PAUSE, _MAX_PAUSE = 0.001, 0.05
"""Seconds between two looks at the files: at first, and at most."""

MASTER, FORK_SERVER = "master", "fork-server"
_WEB_SERVER = "the web server is a program of its own. Ask for its workers: {}."
_UNKNOWN = "no such process: {!r}. Processes: {}."
_CUT = "...\n(cut off)\n"


@dataclass(frozen=True, slots=True)
class Subject:
    """A process that can be asked."""

    name: str
    pid: int
    fd: int
    """The master's descriptor of its file."""
    since: float | None = None
    """Time at which it was started, on the monotonic clock."""
    key: str = ""
    """The name by which it is asked for. Empty: its name."""


@dataclass(frozen=True, slots=True)
class _Request:
    call: Call
    rows: list[tuple[dict[str, Any], StackDump | None]]

    def is_done(self) -> bool:
        return all(dump is None or dump.outcome is not None for _, dump in self.rows)

    def result(self) -> dict[str, Any]:
        most = MAX_BYTES // max(1, len(self.rows))
        return {"processes": [row if dump is None else row | _answer(dump, most) for row, dump in self.rows]}


class Stacks(Service):
    """Asks the processes, and answers the clients when all have answered."""

    def __init__(
        self,
        state: ServerState,
        files: Mapping[str, int],
        fork_servers: Callable[[], Mapping[int, tuple[int, int]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`files` are the descriptors that the processes inherit, by name.

        `fork_servers` returns process id and descriptor of those that run, by generation.
        """
        self._state = state
        self._files = files
        self._fork_servers = fork_servers
        self._clock = clock
        self._started_at = clock()
        self._dumps: dict[int, StackDump] = {}
        """The last request to each process, by the descriptor of its file."""
        self._requests: list[_Request] = []
        self._look_at, self._pause = NEVER, _FIRST_PAUSE

    @property
    def deadline(self) -> float:
        return self._look_at

    def tick(self, now: float) -> None:
        """Look for answers."""
        if now < self._look_at:
            return
        self._requests = [request for request in self._requests if request.call.is_open]
        for dump in {id(dump): dump for request in self._requests for _, dump in request.rows if dump}.values():
            if dump.outcome is None:
                dump.poll(now)
        done = [request for request in self._requests if request.is_done()]
        self._requests = [request for request in self._requests if not request.is_done()]
        for request in done:
            request.call.finish(request.result())
        self._pause = min(self._pause * 2, _MAX_PAUSE)
        self._look_at = self._clock() + self._pause if self._requests else NEVER

    def restart(self) -> None:
        """Drop the requests that could not be carried on. Their clients get no answer in time."""
        for request in self._requests:
            request.call.fail("failed", "the server cannot look at its processes now. Its log says why.")
        self._requests, self._look_at = [], NEVER

    def ask(self, call: Call) -> Answer | None:
        """Answer with the stacks of some processes, or of all."""
        now = self._clock()
        request = _Request(call, [self._row(subject, now) for subject in self._chosen(call.arguments.get("processes"))])
        if request.is_done():
            return Answer(request.result())
        call.hold()
        self._requests.append(request)
        self._pause = _FIRST_PAUSE
        self._look_at = now + self._pause
        return None

    def _row(self, subject: Subject, now: float) -> tuple[dict[str, Any], StackDump | None]:
        since = None if subject.since is None else time.time() - (now - subject.since)
        row: dict[str, Any] = {
            "process": subject.name,
            "pid": subject.pid or None,
            "since": since,
            "threads": [],
            "error": None,
        }
        if subject.pid == os.getpid():
            own = {"id": str(os.getpid()), "name": "main", "text": own_stack(MAX_PROCESS_BYTES)}
            return row | {"threads": [own]}, None
        if not subject.pid:
            return row | {"error": f"{subject.name} is not running now."}, None
        return row, self._dump(subject, now)

    def _dump(self, subject: Subject, now: float) -> StackDump:
        """Ask a process, unless another client has asked it and it has not answered yet."""
        last = self._dumps.get(subject.fd)
        if last is not None and last.pid == subject.pid and (last.outcome is None or last.resume(now)):
            return last
        dump = self._dumps[subject.fd] = StackDump(subject.name, subject.pid, subject.fd, now)
        dump.poll(now)
        return dump

    def _chosen(self, names: object) -> list[Subject]:
        subjects = [
            Subject(MASTER, os.getpid(), -1, self._started_at),
            *(
                Subject(f"{FORK_SERVER}{generation}", pid, fd, key=FORK_SERVER)
                for generation, (pid, fd) in self._fork_servers().items()
            ),
            *(self._subject(process) for process in self._state.present_processes),
        ]
        if not names:
            return [subject for subject in subjects if subject.pid]
        if not isinstance(names, list):
            raise Refused("bad_argument", f"bad processes: {names!r}. Send a list of names.")
        return [subject for name in cast("list[object]", names) for subject in _named(name, subjects)]

    def _subject(self, process: Identity) -> Subject:
        child = self._state.children[process]
        since = child.since if child.pid else None
        return Subject(str(process), child.pid, self._files[stack_name(process)], since)


def _named(name: object, subjects: list[Subject]) -> list[Subject]:
    found = [subject for subject in subjects if name in (subject.name, subject.key)]
    if not found:
        known = ", ".join(dict.fromkeys(subject.key or subject.name for subject in subjects))
        if name in ("webserver", "web server"):
            raise Refused("bad_argument", _WEB_SERVER.format(known))
        raise Refused("bad_argument", _UNKNOWN.format(name, known))
    return found


def _answer(dump: StackDump, most: int) -> dict[str, Any]:
    """Return the outcome of a request to one process: the threads that have answered, in so many bytes."""
    threads: list[dict[str, str]] = []
    for thread in dump.threads:
        text = thread["text"]
        if len(text) > most:
            text = text[:most] + _CUT
        most = max(0, most - len(text))
        threads.append(thread | {"text": text})
    return {"threads": threads, "error": dump.error or None}


def open_stacks(
    loop: Loop,
    state: ServerState,
    files: Mapping[str, int],
    fork_servers: Callable[[], Mapping[int, tuple[int, int]]],
) -> dict[str, Verb]:
    """Add the service to the loop, and return the verb."""
    stacks = loop.open("stacks", lambda _: Stacks(state, files, fork_servers))
    return {"stack": Verb(stacks.ask, "read", {"processes": list})}
