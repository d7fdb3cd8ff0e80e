"""What happened -> what to do: the decisions of the local engine's master. No clock, no process, no signal.

Rules
    Every process of the topology shall run, forked from the newest template that has loaded the application.
    A process that ends is replaced at once; one that keeps ending within STEADY seconds of its start is replaced
    after a pause that doubles. A process that asked to be replaced (exit code RECYCLED) is no failure.
    A reload starts a new template beside the old. When it is ready, the old processes are told to drain and are
    replaced one by one as they end; when it fails, nothing has changed.
    A template that ends by itself is loaded again, until that works; the processes go on, and who ends meanwhile is
    replaced from the next template.
    A stop lets them handle what waits, and until then still replaces who ends; when the server is quiet they are told
    to drain. Who has not ended when the mercy is over is killed.

Beside another server (`hosted`)
    That server is a process of ours, started with the first template; its own processes join and are the workers. They
    take a free seat and leave it when they end; whether and when they are replaced is their server's affair.
    A reload hangs it up (SIGHUP), so that it replaces them itself.
    It is replaced when it ends, after a pause that doubles where nobody had joined it. Two cases end all: it ended
    well, or before anybody had ever joined, unless by our hanging up: it may not have been listening yet.
    A stop ends it first, when all is quiet; the others when its workers are gone and all is quiet again. What waits for
    a worker that nobody has ever been is not waited for, once it is late.

How it works
    The master calls one method for each thing that happened; each answers with the actions to carry out, in order.
    `deadline` is when `tick` must be called at the latest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal

from heliograph._core.supervision.actions import (
    Action,
    Drain,
    Finish,
    Fork,
    Kill,
    Log,
    ReloadWebServer,
    StartForkServer,
    StartWebServer,
    StopForkServer,
)
from heliograph.models import Identity, Topology

MIN_UPTIME = 1.0
"""Seconds after which a process counts as started well."""
INITIAL_BACKOFF, MAX_BACKOFF = 0.05, 10.0
"""Seconds before a process that ended too early is replaced: the first pause, and the longest."""
STOP_DEBOUNCE = 0.1
"""Seconds in which a second word to stop is the first: `timeout`, say, tells its child, and then the child's group."""
EXIT_RECYCLED = 64
"""Exit code of a process that has handled as many signals as it may, or drained because it was told to."""
JOIN_WARNING_AFTER = 15.0
"""Seconds after the start of another server when it is said that its processes have not joined."""
WEB_SERVER = Identity("webserver")
"""The server that ours runs beside."""

_NEVER = float("inf")

State = Literal["absent", "forking", "running", "draining", "killed"]


@dataclass(slots=True)
class _Child:
    """One process of the server, and who sits there now."""

    identity: Identity
    is_external: bool = False
    """Whether it is filled by who joins, not by who is forked."""
    state: State = "absent"
    pid: int = 0
    generation: int = 0
    since: float = -_NEVER
    """When its process was forked or joined, also if that has ended."""
    early_exits: int = 0
    deadline: float = _NEVER
    """When to fork (absent) or to kill (draining)."""


@dataclass(slots=True)
class Supervisor:
    """The state of a server, as far as decisions need it. Times are seconds on one monotonic clock."""

    topology: Topology
    graceful_timeout: float = 30.0
    with_web_server: bool = False
    """Whether it runs beside another server, whose processes are its workers."""
    generation: int = 0
    """The template that processes are forked from; 0 before the first is ready."""
    failed_generation: int = 0
    """The last generation that failed to load; 0 if none did."""
    failure: str = ""
    """Why it failed."""
    _loading: int = 0
    _last: int = 0
    _fork_server_running: bool = False
    """Whether that template is still there."""
    _load_due: float = _NEVER
    """When to load the application again, after its template was lost and the next did not load."""
    _stopping: bool = False
    _stop_requested_at: float = -_NEVER
    """When it was told to end."""
    _stop_by: float = _NEVER
    _idle: bool = False
    _code: int = 0
    _reload_requested: bool = False
    """Whether the other server was told to reload: one that does not listen to that yet ends of it."""
    _join_warning_at: float = _NEVER
    """When to say who has not joined."""
    _children: dict[Identity, _Child] = field(init=False, default_factory=dict[Identity, _Child])

    def __post_init__(self) -> None:
        processes = self.topology.processes()
        self._children = {
            process: _Child(process, is_external=self.with_web_server and process.role == "worker")
            for process in processes
        }
        if self.with_web_server:
            self._children[WEB_SERVER] = _Child(WEB_SERVER)

    # what the master asks

    @property
    def deadline(self) -> float:
        """When `tick` is due at the latest; infinite if nothing is."""
        return min([self._load_due, self._join_warning_at, *(seat.deadline for seat in self._children.values())])

    @property
    def loading(self) -> bool:
        """Whether a template is loading the application."""
        return bool(self._loading)

    @property
    def newest_generation(self) -> int:
        """The generation that was loaded last; it may still be loading, or have failed."""
        return self._last

    @property
    def stopping(self) -> bool:
        """Whether the server was told to end."""
        return self._stopping

    @property
    def draining_queues(self) -> bool:
        """Whether the server is stopping and still handles what waits."""
        return self._stopping and not self._idle

    @property
    def forking(self) -> bool:
        """Whether a template was told to fork, and has not reported yet."""
        return any(seat.state == "forking" for seat in self._children.values())

    @property
    def all_running(self) -> bool:
        """Whether every process runs, forked from the newest template."""
        return all(seat.state == "running" and seat.generation == self.generation for seat in self._children.values())

    @property
    def vacant_workers(self) -> frozenset[Identity]:
        """Workers for whom nothing needs to be waited for at a stop: they are gone, or late and never were."""
        workers = self._external_children()
        if not self.workers_gone:
            workers = [seat for seat in workers if self._join_warning_at == _NEVER and not seat.generation]
        return frozenset(seat.identity for seat in workers)

    @property
    def workers_gone(self) -> bool:
        """Whether the server is stopping, and its workers are gone with the server that they belonged to."""
        return (
            self.with_web_server
            and self._stopping
            and not any(seat.pid for seat in (self._children[WEB_SERVER], *self._external_children()))
        )

    def identity_of(self, pid: int) -> Identity | None:
        """Who the process is, or was until it was reported as ended."""
        return next((seat.identity for seat in self._children.values() if seat.pid == pid), None)

    def is_external(self, process: Identity) -> bool:
        """Whether that seat is for a process that was not forked."""
        return self._children[process].is_external

    def pids(self) -> dict[Identity, int]:
        """The processes that there are."""
        return {process: seat.pid for process, seat in self._children.items() if seat.pid}

    # what happened

    def start(self) -> list[Action]:
        """The master begins."""
        return self._load()

    def reload(self) -> list[Action]:
        """Somebody asked for a reload."""
        if self._stopping:
            return [Log(logging.WARNING, "not reloading: the server is stopping")]
        if self._loading:
            return [Log(logging.WARNING, "not reloading: the application is being loaded already")]
        return [Log(logging.INFO, "reloading"), *self._load()]

    def fork_server_ready(self, generation: int, now: float) -> list[Action]:
        """A template has loaded the application."""
        if generation != self._loading:
            return [StopForkServer(generation)]
        old, self.generation, self._loading, self._fork_server_running = self.generation, generation, 0, True
        actions: list[Action] = [StopForkServer(old)] if old else []
        for seat in self._children.values():
            if seat.state == "running" and not self._stopping:
                actions += self._replace(seat, now)
            elif seat.state == "absent" and not self._idle and not (self._stopping and seat.identity == WEB_SERVER):
                seat.early_exits = 0
                actions += self._fork(seat)
        return actions

    def fork_server_failed(self, generation: int, reason: str, now: float) -> list[Action]:
        """A template could not load the application, or ended."""
        lost = [seat for seat in self._children.values() if seat.state == "forking" and seat.generation == generation]
        for seat in lost:
            seat.state, seat.deadline = "absent", _NEVER
        if generation == self._loading:
            self._loading, self.failed_generation, self.failure = 0, generation, reason
            return [*self._load_failed(reason, now), *self._finish_if_done()]
        if generation != self.generation or not self._fork_server_running:
            # It was told to fork, then to end, and was killed in between: the newest forks instead.
            forks = [action for seat in lost if not self._idle for action in self._fork(seat)]
            return [*forks, *self._finish_if_done()]
        self._fork_server_running = False
        if self._stopping:
            return self._finish_if_done()
        # The template that the running processes came from is gone: load the same again, for their successors.
        text = f"the process that forks the others ended ({reason}); loading the application again"
        return [Log(logging.ERROR, text), *(self._load() if not self._loading else [])]

    def forked(self, process: Identity, pid: int, generation: int, now: float) -> list[Action]:
        """A process was forked."""
        seat = self._children[process]
        seat.state, seat.pid, seat.generation, seat.since, seat.deadline = "running", pid, generation, now, _NEVER
        if process == WEB_SERVER:
            self._join_warning_at, self._reload_requested = now + JOIN_WARNING_AFTER, False
        if self._stopping:
            seat.deadline = self._stop_by
            return self.on_idle() if self._idle else []
        return self._drain(seat, now) if generation != self.generation else []

    def join(self, pid: int, now: float) -> Identity | None:
        """A process of the other server would be a worker: which one it is now, None while there is no free seat."""
        seats = self._external_children()
        mine = next((seat for seat in seats if seat.pid == pid), None)
        if mine is not None:
            return mine.identity
        seat = next((seat for seat in seats if seat.state == "absent"), None)
        if seat is None or self._children[WEB_SERVER].state != "running":
            return None  # its server is ending, and it with it
        seat.state, seat.pid, seat.generation, seat.since = "running", pid, self.generation, now
        return seat.identity

    def web_server_exited(self, code: int, how: str, now: float) -> list[Action]:
        """The server that ours runs beside ended, or could not be started."""
        joined = self._have_joined(-_NEVER)
        if self._stopping or (code and (joined or self._reload_requested)):
            return self.exited(WEB_SERVER, how, expected=False, now=now)
        seat = self._children[WEB_SERVER]
        seat.state, seat.pid, seat.deadline, self._code = "absent", 0, _NEVER, abs(code)
        why = "" if joined else " before any of its processes had joined"
        text = f"the server ended ({how}){why}, and so does this one"
        return [Log(logging.ERROR if code else logging.INFO, text), *self.stop(now)]

    def exited(self, process: Identity, reason: str, *, expected: bool, now: float) -> list[Action]:
        """A process ended; `how` is for people, `well` says that it did as it was told."""
        seat = self._children[process]
        told, lived = seat.state in ("draining", "killed"), now - seat.since
        seat.state, seat.pid, seat.deadline = "absent", 0, _NEVER
        if seat.is_external or (self._stopping and (self._idle or now >= self._stop_by or process == WEB_SERVER)):
            return self._finish_if_done()
        if told or expected:
            seat.early_exits = 0
            return [*self._fork(seat), *self._finish_if_done()]
        # A web server may take long to find out that it cannot load its application, and does no good before it has.
        early = lived < MIN_UPTIME or (process == WEB_SERVER and not self._have_joined(seat.since))
        seat.early_exits = seat.early_exits + 1 if early else 0
        if not seat.early_exits:
            text = f"{process} ended ({reason}) and is replaced"
            return [Log(logging.WARNING, text), *self._fork(seat), *self._finish_if_done()]
        pause = min(INITIAL_BACKOFF * 2 ** (seat.early_exits - 1), MAX_BACKOFF)
        seat.deadline = now + pause
        return [
            Log(logging.WARNING, f"{process} ended ({reason}) {lived:.1f} s after its start; the next in {pause:g} s")
        ]

    def stop(self, now: float) -> list[Action]:
        """Somebody asked the server to end; a second time: at once."""
        again, self._stopping = self._stopping, True
        if again and now < self._stop_requested_at + STOP_DEBOUNCE:
            return []
        self._stop_requested_at = now
        self._stop_by = now if again else now + self.graceful_timeout
        self._load_due = _NEVER
        for seat in self._children.values():
            if seat.identity == WEB_SERVER and not seat.pid:
                seat.deadline = _NEVER  # without it there are no requests and no workers: it is not started any more
            elif seat.state in ("running", "draining", "forking") or seat.deadline < _NEVER:
                seat.deadline = min(seat.deadline, self._stop_by)
        text = (
            "stopping at once" if again else f"stopping: what waits is handled, for at most {self.graceful_timeout:g} s"
        )
        return [Log(logging.INFO, text), *self._finish_if_done()]

    def on_idle(self) -> list[Action]:
        """Nothing waits and nothing is in hand, and the server is stopping."""
        if not self._stopping:
            return []
        if self.with_web_server and not self.workers_gone:
            return self._stop_web_server()
        self._idle = True
        actions: list[Action] = []
        for seat in self._children.values():
            if seat.state == "running":
                seat.state = "draining"
                actions.append(Drain(seat.pid))
            elif seat.state == "absent":
                seat.deadline = _NEVER
        return [*actions, *self._finish_if_done()]

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        if self._load_due <= now:
            self._load_due = _NEVER
            actions += self._load() if not self._loading else []
        if self._join_warning_at <= now:
            self._join_warning_at = _NEVER
            actions += self._warn_not_joined()
        for seat in self._children.values():
            if seat.deadline <= now:
                seat.deadline = _NEVER
                actions += self._on_deadline(seat, now)
        return [*actions, *self._finish_if_done()]

    # within

    def _on_deadline(self, seat: _Child, now: float) -> list[Action]:
        if seat.state == "absent":
            return self._fork(seat) if now < self._stop_by else []
        if seat.state == "forking":  # its template does not answer
            seat.state = "absent"
            return []
        if seat.state in ("running", "draining"):
            seat.state = "killed"
            return [Log(logging.WARNING, f"{seat.identity} did not end in time and is killed"), Kill(seat.pid)]
        return []

    def _load(self) -> list[Action]:
        self._last += 1
        self._loading, self._load_due = self._last, _NEVER
        return [StartForkServer(self._loading)]

    def _load_failed(self, reason: str, now: float) -> list[Action]:
        if not self.generation:
            self._stopping, self._code = True, 2
            return [Log(logging.ERROR, f"cannot load the application: {reason}")]
        text = f"reload given up, the old code goes on serving; the new one does not load: {reason}"
        if not self._fork_server_running and not self._stopping:
            self._load_due = now + MAX_BACKOFF
            text = f"the application does not load, so that nobody is replaced; again in {MAX_BACKOFF:g} s: {reason}"
        return [Log(logging.ERROR, text)]

    def _fork(self, seat: _Child) -> list[Action]:
        """Have it forked; without a template it stays absent until the next is ready."""
        seat.deadline = _NEVER
        if not self._fork_server_running or seat.is_external:
            return []
        if seat.identity == WEB_SERVER:
            return [StartWebServer()]
        seat.state, seat.generation = "forking", self.generation
        return [Fork(self.generation, seat.identity)]

    def _replace(self, seat: _Child, now: float) -> list[Action]:
        """Have it run the new code."""
        if seat.is_external:
            return []
        if seat.identity == WEB_SERVER:
            seat.generation, self._reload_requested = self.generation, True
            return [ReloadWebServer(seat.pid)]
        return self._drain(seat, now)

    def _stop_web_server(self) -> list[Action]:
        """Ask it once; its workers go with it."""
        server = self._children[WEB_SERVER]
        if server.state != "running":
            return []
        server.state = "draining"
        return [Drain(server.pid)]

    def _warn_not_joined(self) -> list[Action]:
        start = self._children[WEB_SERVER].since
        missing = [seat.identity for seat in self._external_children() if seat.since < start]
        if not missing or self._stopping:
            return []
        text = (
            f"{', '.join(map(str, missing))}: nobody has joined within {JOIN_WARNING_AFTER:g} s. "
            "Processes of gunicorn, uvicorn and granian join when what they serve uses heliograph; those of other "
            "servers at their first request, with a middleware of heliograph.contrib, or by heliograph.join(). If "
            "there are fewer of them, say how many before the two dashes: --workers N"
        )
        return [Log(logging.WARNING, text)]

    def _have_joined(self, since: float) -> bool:
        """Whether any process of the other server has joined since then."""
        return any(seat.since > since for seat in self._external_children())

    def _external_children(self) -> list[_Child]:
        """The seats of the other server's processes."""
        return [seat for seat in self._children.values() if seat.is_external]

    def _drain(self, seat: _Child, now: float) -> list[Action]:
        seat.state, seat.deadline = "draining", now + self.graceful_timeout
        return [Drain(seat.pid)]

    def _finish_if_done(self) -> list[Action]:
        over = all(seat.state == "absent" and seat.deadline == _NEVER for seat in self._children.values())
        if not (self._stopping and over):
            return []
        templates = [StopForkServer(number) for number in (self.generation, self._loading) if number]
        return [*templates, Finish(self._code)]
