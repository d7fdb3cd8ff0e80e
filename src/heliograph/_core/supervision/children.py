"""The supervised processes: the policy of each kind, and what the supervisor knows about each process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from heliograph.models import Identity, Topology

NEVER = float("inf")

FORK_TIMEOUT = 30.0
"""Seconds in which a fork server must report a process after the command to fork it. Then it is killed and replaced."""
OLD_FORK_TIMEOUT = 5.0
"""The same time for a fork server that has a successor, which can fork the process instead."""
KILL_TIMEOUT = 30.0
"""Seconds in which a process must exit after SIGKILL. Then an error is logged, and a stop does not wait for it."""
MIN_UPTIME = 1.0
"""Seconds after which a process counts as started well."""
INITIAL_BACKOFF, MAX_BACKOFF = 0.05, 10.0
"""Seconds before a process that exited early is restarted: the first delay, which doubles, and the longest."""
EXIT_RECYCLED = 64
"""Exit code of a process that exits to be replaced: after SIGTERM, or at a limit such as `--max-signals`."""
_SIGHUP = 1
"""Number of the Unix signal, on every system. The core imports no module of the operating system."""
WEB_SERVER = Identity("webserver")
"""The command after `--`. The other commands have the role `command` and a name."""

State = Literal["absent", "forking", "running", "draining", "killed"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of the supervisor for one kind of process."""

    origin: Literal["fork", "join", "command"]
    """fork: a fork server forks it. join: it is started by others, and joins. command: the master starts a program."""

    restart: Literal["always", "on_failure", "if_proven", "never"]
    """Restart policy for a process that exited by itself. on_failure: unless its exit code is 0. if_proven: always, but
    the server stops with it if it had not started well."""

    reload: Literal["replace", "hang_up", "leave", "itself"]
    """replace: drain it and start a new one. hang_up: send SIGHUP. leave: do nothing. The web server replaces its
    processes. itself: it reloads itself when files change, so it counts as reloaded."""

    stop_stage: int
    """A stop asks the processes of a stage to exit when those of all lower stages have exited."""

    proven_by_joins: bool = False
    """True if it counts as started well only after a process has joined since its start."""

    counts_for_ready: bool = True
    """True if the server is ready, and a reload complete, only when it runs."""

    counts_for_idle: bool = True
    """True if a stop waits until the signals queued for it are handled."""

    fork_timeout: float = FORK_TIMEOUT


FORKED = Policy("fork", "always", "replace", stop_stage=2)
JOINED = Policy("join", "never", "leave", stop_stage=1)
WEB_COMMAND = Policy("command", "if_proven", "hang_up", stop_stage=1, proven_by_joins=True, counts_for_idle=False)
RELOADING_WEB_COMMAND = replace(WEB_COMMAND, reload="itself")
"""A web server for development, which reloads itself."""


def command_policy(
    restart: Literal["always", "on_failure", "never"], reload: Literal["replace", "hang_up", "leave"]
) -> Policy:
    """Return the policy of a command besides the web server. No process joins from it."""
    return Policy("command", restart, reload, stop_stage=1, counts_for_ready=False, counts_for_idle=False)


@dataclass(frozen=True, slots=True)
class LastExit:
    """The last exit of a process."""

    pid: int
    at: float
    reason: str
    was_expected: bool
    """True if the master had asked for it, or if the process exited to be replaced."""


@dataclass(slots=True)
class Child:
    """A process of the server: its place in the topology, and the operating system's process that fills it now."""

    identity: Identity
    policy: Policy
    state: State = "absent"
    pid: int = 0
    last_pid: int = 0
    """Process id of its predecessor."""
    generation: int = 0
    since: float = -NEVER
    """Time at which it was started or joined, also if it has exited since."""
    ready: bool = False
    """True if it has reported that it receives signals."""
    early_exits: int = 0
    """Number of times in a row that it exited soon after its start."""
    expected: bool = True
    """False for a command that has ended, and its policy does not restart it. False also for a worker number that is
    not in use now, on a server whose workers come and go."""
    vacate_at: float = NEVER
    """Time at which its number is vacated, if no process takes it before."""
    awaited: bool = True
    """False if a reload does not wait for a process to join: none has joined in time, or it joins at a request."""
    hung_up: bool = False
    """True if it got SIGHUP. A command that has not installed its handler yet exits because of it."""
    failures: int = 0
    """Number of times in a row that a command exited with an error, without a process that joined in between."""
    failure: str = ""
    """Description of its last such exit."""
    recycle_at: float = NEVER
    """Time at which it is old enough to be replaced."""
    recycling: str = ""
    """The reason for which it was asked to exit, if that was its age."""
    deadline: float = NEVER
    """Time to start it (absent), or to stop waiting for it (forking, draining, killed)."""
    starts: int = 0
    last_exit: LastExit | None = None

    def start(self, pid: int, generation: int, now: float) -> None:
        """Record that a process fills this place now."""
        self.state, self.pid, self.generation, self.since, self.deadline = "running", pid, generation, now, NEVER
        self.hung_up = False
        self.recycle_at, self.recycling = NEVER, ""
        self.starts += 1

    def note_exit(self, reason: str, now: float, *, is_recycled: bool) -> None:
        """Record why a process exits that fills this place now."""
        self.last_exit = LastExit(self.pid, now, self.recycling or reason, is_recycled or self.state == "draining")

    def clear(self) -> None:
        """Record that no process fills this place any more."""
        self.last_pid = self.pid or self.last_pid
        self.state, self.pid, self.ready, self.deadline = "absent", 0, False, NEVER
        self.recycle_at = NEVER

    @property
    def name(self) -> str:
        """Its name at the beginning of a log line."""
        if self.identity.role == "command":
            return f"Command {self.identity}"
        return "Web server" if self.identity == WEB_SERVER else str(self.identity)

    def ends_after(self, code: int) -> bool:
        """Return True if the policy does not restart it after it exited by itself with this code."""
        return self.policy.restart == "never" or (self.policy.restart == "on_failure" and not code)

    def delay(self) -> float:
        """Return the seconds to wait before the next start."""
        return min(INITIAL_BACKOFF * 2 ** (self.early_exits - 1), MAX_BACKOFF) if self.early_exits else 0.0


class Children:
    """The children of a server, in the order in which they are started."""

    def __init__(
        self, topology: Topology, commands: Mapping[Identity, Policy], *, expected_workers: int | None = None
    ) -> None:
        """`expected_workers` is the number of workers that the server expects at first. None: all, or the least."""
        expected = topology.min_workers if expected_workers is None else expected_workers
        table = dict.fromkeys(topology.processes(), FORKED)
        if (web_server := commands.get(WEB_SERVER)) is not None:
            joined = replace(JOINED, reload="itself") if web_server.reload == "itself" else JOINED
            table |= {process: joined for process in table if process.role == "worker"}
        table |= commands
        self._children = {process: Child(process, policy) for process, policy in table.items()}
        for child in self:
            child.expected = expected is None or child.identity.role != "worker" or child.identity.number <= expected

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    def __getitem__(self, process: Identity) -> Child:
        return self._children[process]

    @property
    def deadline(self) -> float:
        """Earliest deadline of a child."""
        return min((min(child.deadline, child.vacate_at, child.recycle_at) for child in self), default=NEVER)

    @property
    def joining(self) -> list[Child]:
        """Children whose processes join."""
        return [child for child in self if child.policy.origin == "join"]

    @property
    def counted(self) -> list[Child]:
        """Children without which the server is not ready."""
        return [child for child in self if child.policy.counts_for_ready and child.expected]

    @property
    def accept_joins(self) -> bool:
        """False if the web server exits: its processes exit with it."""
        return any(child.policy.proven_by_joins and child.state == "running" for child in self)

    @property
    def forked_by(self) -> frozenset[int]:
        """Generations of the fork servers whose processes run or are being forked."""
        return frozenset(c.generation for c in self if c.policy.origin == "fork" and c.state != "absent")

    def hasten_forks(self, generation: int, now: float) -> None:
        """Wait less for older fork servers, now that the fork server of this generation can fork instead."""
        for child in self:
            if child.state == "forking" and child.generation < generation:
                requested_at = child.deadline - child.policy.fork_timeout
                child.deadline = min(child.deadline, max(now, requested_at + OLD_FORK_TIMEOUT))

    def forking(self, generation: int) -> list[Child]:
        """Return the children that the fork server of that generation has to fork."""
        return [child for child in self if child.state == "forking" and child.generation == generation]

    @property
    def failing_command(self) -> Child | None:
        """The web server that exited with an error, until a process joins again. None if there is none."""
        failed = (child for child in self if child.failures)
        return next((c for c in failed if c.state == "absent" or not self.proven(c, c.since)), None)

    def note_command_exit(self, child: Child, reason: str, code: int) -> None:
        """Count the exits of the web server with an error.

        Exceptions: our SIGHUP ended it, it did not serve yet when it got SIGHUP, or it served and was killed.
        """
        if not child.policy.proven_by_joins:
            return
        proven = self.proven(child, child.since)
        if not code or (code < 0 and proven) or (child.hung_up and (code == -_SIGHUP or not proven)):
            return
        child.failures, child.failure = (1 if proven else child.failures + 1), reason

    def have_joined(self, since: float) -> bool:
        """Return True if a process has joined since then."""
        return any(child.since > since for child in self.joining)

    def proven(self, child: Child, since: float) -> bool:
        """Return True if a child has started well: if that takes a process that joins, one has joined since then."""
        return not child.policy.proven_by_joins or self.have_joined(since)

    @property
    def not_awaited(self) -> tuple[Identity, ...]:
        """Workers that no process is now, and that a reload does not wait for."""
        return tuple(c.identity for c in self.joining if c.state == "absent" and c.expected and not c.awaited)

    def not_joined(self) -> list[Child]:
        """Return the workers that no process has become since the web server was started."""
        start = max((child.since for child in self if child.policy.proven_by_joins), default=-NEVER)
        return [child for child in self.joining if child.since < start and child.expected]
