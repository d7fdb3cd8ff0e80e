"""The state of a server, and the questions that the master asks about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from heliograph._core.supervision.capacity import Capacity
from heliograph._core.supervision.children import NEVER, Child, Children, Policy
from heliograph._core.supervision.loads import Loads
from heliograph._core.supervision.progress import Progress
from heliograph._core.supervision.recycling import AgeLimit
from heliograph._core.supervision.stopping import Stop
from heliograph.models import Identity, Topology


@dataclass(slots=True)
class ServerState:
    """The state of a server, as far as decisions need it. Times are seconds on one monotonic clock."""

    topology: Topology
    graceful_timeout: float = 30.0
    commands: Mapping[Identity, Policy] = field(default_factory=dict[Identity, Policy])
    """The programs that the master starts. If the web server is one of them, its processes are the workers."""
    expected_workers: int | None = None
    """Number of workers that the server expects at first, if workers come and go. None: the least number."""
    max_age: float = 0.0
    """Seconds after which a forked process is replaced. 0: never."""
    jitter: Callable[[], float] = float
    """Returns a number from 0 to 1 by which such a limit is increased."""
    _children: Children = field(init=False)
    _loads: Loads = field(init=False)
    _stop: Stop = field(init=False)
    _capacity: Capacity = field(init=False)
    _ages: AgeLimit = field(init=False)
    _progress: Progress = field(init=False, default_factory=Progress)
    _join_warning_at: float = field(init=False, default=NEVER)

    def __post_init__(self) -> None:
        self._children = Children(self.topology, self.commands, expected_workers=self.expected_workers)
        self._capacity = Capacity(self.topology, self.graceful_timeout)
        self._loads = Loads(self.graceful_timeout)
        self._ages = AgeLimit(self.max_age, self.jitter)
        self._stop = Stop(self.graceful_timeout)

    @property
    def deadline(self) -> float:
        """Time at which `Due` must be handled at the latest. Infinite if there is nothing to wait for."""
        return min(self._loads.deadline, self._children.deadline, self._stop.deadline, self._join_warning_at)

    @property
    def generation(self) -> int:
        """Generation of the code that processes are forked from. 0 before the first is loaded."""
        return self._loads.current

    @property
    def forkable_generations(self) -> frozenset[int]:
        """Generations of the code that processes run or may be forked from, without those that joined."""
        return self._loads.alive | self._children.forked_by | {self._loads.current, self._loads.newest}

    @property
    def loading(self) -> bool:
        """True if a fork server is loading the application."""
        return bool(self._loads.loading)

    @property
    def newest_generation(self) -> int:
        """The generation that was loaded last. It may still be loading, or have failed."""
        return self._loads.newest

    @property
    def requested_generation(self) -> int:
        """The generation that answers a reload requested now."""
        return self._loads.requested

    @property
    def failed_generation(self) -> int:
        """The last generation that could not be loaded. 0 if none failed."""
        return self._loads.failed

    @property
    def failure(self) -> str:
        """The reason why the last failed generation could not be loaded."""
        return self._loads.failure

    @property
    def stopping(self) -> bool:
        """True if a stop was requested."""
        return self._stop.requested

    @property
    def draining_queues(self) -> bool:
        """True if the server is stopping and still handles queued signals: the master then looks for `Idle`."""
        return self.stopping and not self._stop.idle

    @property
    def forking(self) -> bool:
        """True if a fork server has a command to fork and has not reported yet."""
        return any(child.state == "forking" for child in self._children)

    @property
    def all_running(self) -> bool:
        """True if every process runs the newest code."""
        return all(map(self._runs_newest, self._children.counted))

    @property
    def complete(self) -> bool:
        """True if every process runs the newest code and has reported that it is ready."""
        return self.all_running and all(map(_is_ready, self._children.counted))

    @property
    def reloaded(self) -> bool:
        """True if every process runs the newest code and is ready, except for workers that a reload cannot wait for."""
        ignored = {*self._children.not_awaited, *self._capacity.surplus(self._children, self.expected_workers)}
        waited_for = [child for child in self._children.counted if child.identity not in ignored]
        return all(self._runs_newest(child) and _is_ready(child) for child in waited_for)

    @property
    def not_awaited(self) -> tuple[Identity, ...]:
        """Workers that no process is now, and that a reload does not wait for."""
        return self._children.not_awaited

    @property
    def web_server_failure(self) -> str:
        """Exit of a web server that does not start, with the number in a row. Empty once one of its processes joins."""
        if self.stopping or (failing := self._children.failing_command) is None:
            return ""
        times = "once" if failing.failures == 1 else f"{failing.failures} times"
        return f"{failing.failure}, {times}"

    @property
    def web_workers(self) -> tuple[int, int] | None:
        """Number of workers that run, and of those expected, if they are processes of a web server. Else None."""
        if not any(policy.proven_by_joins for policy in self.commands.values()):
            return None
        expected = [child for child in self._children.joining if child.expected]
        return sum(child.state == "running" for child in expected), len(expected)

    def _runs_newest(self, child: Child) -> bool:
        return child.state == "running" and child.generation == self.generation

    @property
    def vacant_workers(self) -> frozenset[Identity]:
        """Workers that a stop does not wait for.

        They have exited for good, or are overdue and have never joined, or their numbers are not in use.
        """
        stage = self._stop.stage(self._children) if self.stopping else 0
        overdue = self._join_warning_at == NEVER
        unused = frozenset(child.identity for child in self._children.joining if not child.expected)
        return unused | frozenset(
            child.identity
            for child in self._children.joining
            if child.policy.counts_for_idle and (child.policy.stop_stage < stage or (overdue and not child.generation))
        )

    def identity_of(self, pid: int) -> Identity | None:
        """Return the process with this process id, or None."""
        return next((child.identity for child in self._children if child.pid == pid), None)

    def worker_of(self, pid: int) -> Identity | None:
        """Return the worker that a process became by joining. None if it is not one."""
        return next((child.identity for child in self._children.joining if child.pid == pid), None)

    def is_external(self, process: Identity) -> bool:
        """Return True if the web server starts this process, not the master."""
        return self._children[process].policy.origin == "join"

    @property
    def present_processes(self) -> tuple[Identity, ...]:
        """The processes of the server, without workers that have left or not come yet."""
        return tuple(c.identity for c in self._children if c.expected and c.policy.origin != "command")

    @property
    def expected_processes(self) -> tuple[Identity, ...]:
        """The processes that should run: those of the server, and the commands that have not ended."""
        return tuple(child.identity for child in self._children if child.expected)

    @property
    def children(self) -> Children:
        """The processes of the server, and the places for them. They are only to be looked at."""
        return self._children

    @property
    def loads(self) -> Loads:
        """The loads of the application. They are only to be looked at."""
        return self._loads

    @property
    def ready(self) -> bool:
        """True if the server has been ready, and is not stopping."""
        return self._progress.ready and not self.stopping

    def pids(self) -> dict[Identity, int]:
        """Return the process ids of the processes that run."""
        return {child.identity: child.pid for child in self._children if child.pid}


def _is_ready(child: Child) -> bool:
    return child.ready or child.policy.origin == "command"
