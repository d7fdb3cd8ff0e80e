"""The supervisor: `handle(event, now)` returns the actions that the master carries out, in order.

Rules
    Every process of the topology runs, forked from the newest fork server that has loaded the application.
    A process that exits is restarted at once. If it exits within `MIN_UPTIME` of its start, the supervisor waits before
    the restart, and doubles the delay each time. Exit code `EXIT_RECYCLED` is no failure. A process that is older than
    `max_age` is asked to exit so.
    A reload starts a new fork server next to the current one. When it has loaded the application, the running processes
    are drained and restarted one by one. The old fork server is stopped when none of its processes is left, since they
    may use what the application made in it. When it fails, nothing changes. A reload that is requested while the
    application is being loaded loads it once more afterwards, or at once if the load is slow (`SLOW_LOAD`).
    If the current fork server exits, the application is loaded again. The processes keep running. Those that exit in
    the meantime are forked from the next fork server. If fork servers exit soon after the load, the delay doubles.
    A stop first lets the processes finish what is queued, and restarts those that exit. When nothing is queued, they
    are drained stage by stage. A stage is drained at the latest after its part of the graceful timeout, and killed
    after the timeout. The web server is killed earlier, so that the others can handle what it has sent.

Web server
    The command is started when the application is loaded for the first time. Its processes join and become the workers.
    The web server replaces them. `capacity` says which worker number a process gets.
    A reload sends SIGHUP to the command, unless it reloads itself.
    If the command exits, it is restarted, also after exit code 0: `uvicorn --limit-max-requests` exits to be restarted.
    Exception: the server stops with it if no process had joined, or after exit code 0 if none had since its start. An
    exit caused by our SIGHUP does not count, since the command may not have installed its handler yet.
    A stop drains the web server before the other processes.

Commands
    Further commands are started with the web server, and drained with it. The server neither waits for them to be ready
    nor stops with them. A command that exits by itself is restarted, unless its policy says that it has ended. A reload
    that restarts commands also starts those that have ended.

Deadlines
    Every state except running has one: loading (`LOAD_TIMEOUT`), forking (`FORK_TIMEOUT`, from an old fork server
    `OLD_FORK_TIMEOUT`), draining (the graceful timeout), killed (`KILL_TIMEOUT`), and absent, unless it waits for a
    fork server that is loading. `deadline` is the earliest. The master sends `Due` when it has passed.
"""

from __future__ import annotations

import logging
from typing import assert_never

from heliograph._core.supervision import actions as do
from heliograph._core.supervision import events
from heliograph._core.supervision.actions import Action, Log
from heliograph._core.supervision.capacity import warn_not_joined
from heliograph._core.supervision.children import KILL_TIMEOUT, MAX_BACKOFF, MIN_UPTIME, NEVER, Child
from heliograph._core.supervision.loads import LOAD_TIMEOUT
from heliograph._core.supervision.state import ServerState

JOIN_WARNING_AFTER = 15.0
"""Seconds after the start of the web server when missing workers are logged."""


class Supervisor(ServerState):
    """Decides what the master does. Times are seconds on one monotonic clock."""

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Return the actions that follow from an event, in order."""
        actions = self._handle(event, now)
        actions += self._loads.stop_unused(self._children.forked_by, now)
        if not self.stopping and self.reloaded:
            actions += self._progress.report(self._loads, ready=self.complete, now=now)
        if self._stop.is_done(self._children) and not self._stop.finished:
            self._stop.finished = True
            actions += [*self._loads.stop_all(now), do.Finish(self._stop.code)]
        return actions

    def _handle(self, event: events.Event, now: float) -> list[Action]:  # noqa: C901, PLR0911, PLR0912 - a table of events
        match event:
            case events.StartRequested():
                return self._loads.load(now)
            case events.ReloadRequested(reason):
                return self._on_reload(now, reason)
            case events.StopRequested(immediately):
                return self._on_stop(now, immediately=immediately)
            case events.ForkServerReady(generation):
                return self._on_loaded(generation, now)
            case events.ForkServerFailed(generation, reason):
                return self._on_load_failed(generation, reason, now)
            case events.ForkServerExited(generation, reason):
                return self._on_fork_server_exit(generation, reason, now)
            case events.Started(process, pid, generation):
                return self._on_start(self._children[process], pid, generation, now)
            case events.ForkFailed(process, generation, reason):
                return self._on_fork_failed(self._children[process], generation, reason, now)
            case events.Joined(pid, at_request):
                return self._on_join(pid, now, at_request=at_request)
            case events.ProcessReady(process):
                self._children[process].ready = self._children[process].state == "running"
                self._ages.begin(self._children[process], now)
                return []
            case events.Exited():
                return self._on_exit(event, now)
            case events.Idle():
                return self._stop.drain(self._children) if self.stopping else []
            case events.Due():
                return self._on_due(now)
        assert_never(event)

    def _on_reload(self, now: float, reason: str = "") -> list[Action]:
        if self.stopping:
            return [Log(logging.WARNING, "Reload ignored: the server is stopping")]
        return self._loads.request(now, reason)

    def _on_stop(self, now: float, *, immediately: bool = False) -> list[Action]:
        self._loads.retry_at, self._loads.again = NEVER, False
        return self._stop.request(self._children, now, immediately=immediately)

    # Loading the application

    def _on_loaded(self, generation: int, now: float) -> list[Action]:
        if generation != self._loads.loading:
            return self._loads.stop(generation, now)
        actions: list[Action] = [do.Activate(generation)]
        self._loads.activate(generation, now)
        self._children.hasten_forks(generation, now)
        for child in self._children:
            if child.policy.origin == "command" and child.policy.reload == "replace":
                child.expected = True
            if child.state == "running" and not self.stopping:
                actions += self._reload_child(child, now)
            elif child.state == "absent" and child.expected and not self._stop.is_over_for(child, now):
                child.early_exits = child.failures = 0
                actions += self._start(child, now)
        return [*actions, *self._load_once_more(now)]

    def _on_load_failed(self, generation: int, reason: str, now: float) -> list[Action]:
        was_loading = generation == self._loads.loading
        self._loads.exiting(generation, now)
        return self._give_up_load(generation, reason, now) if was_loading else []

    def _on_fork_server_exit(self, generation: int, reason: str, now: float) -> list[Action]:
        was_loading = generation == self._loads.loading
        was_current = generation == self.generation and self._loads.can_fork
        self._loads.forget(generation)
        if was_loading:
            return self._give_up_load(generation, reason, now)
        not_forked = self._children.forking(generation)
        for child in not_forked:
            child.clear()
        if was_current:
            return self._replace_fork_server(f"Fork server exited ({reason})", now)
        # It got commands to fork and to exit, and was killed in between: the current fork server forks instead.
        return [action for child in not_forked if not self._stop.idle for action in self._start(child, now)]

    def _replace_fork_server(self, what_happened: str, now: float) -> list[Action]:
        """Load the application again, since the current fork server is gone."""
        if self.stopping:
            return []
        delay = 0.0 if self._loads.loading else self._loads.reload_delay(now)
        text = f"{what_happened}, loading the application again"
        if delay:
            self._loads.retry_at = now + delay
            return [Log(logging.ERROR, f"{text} in {delay:g} s")]
        return [Log(logging.ERROR, text), *(self._loads.load(now) if not self._loads.loading else [])]

    def _give_up_load(self, generation: int, reason: str, now: float) -> list[Action]:
        self._loads.failed, self._loads.failure, self._loads.failed_at = generation, reason, now
        if not self.generation:
            self._stop.requested, self._stop.code = True, 2
            return [Log(logging.ERROR, f"Cannot load the application: {reason}")]
        text = f"Reload failed, keeping the old code: {reason}"
        if not self._loads.can_fork and not self.stopping:
            self._loads.retry_at = now + MAX_BACKOFF
            lost = "processes that exit are not restarted"
            text = f"Cannot load the application, {lost}, retrying in {MAX_BACKOFF:g} s: {reason}"
        return [Log(logging.ERROR, text), do.ReloadFailed(generation, reason), *self._load_once_more(now)]

    def _load_once_more(self, now: float) -> list[Action]:
        return self._on_reload(now) if self._loads.again and not self.stopping else []

    # Starting processes

    def _start(self, child: Child, now: float) -> list[Action]:
        """Start a process. Without a fork server, all but commands stay absent until the next one is ready."""
        child.deadline = NEVER
        if child.policy.origin == "command":
            return [do.StartCommand(child.identity)] if self.generation else []
        if not self._loads.can_fork or child.policy.origin == "join":
            return []
        child.state, child.generation = "forking", self.generation
        child.deadline = min(now + child.policy.fork_timeout, self._stop.by)
        return [do.Fork(self.generation, child.identity)]

    def _on_start(self, child: Child, pid: int, generation: int, now: float) -> list[Action]:
        if child.pid not in (0, pid):
            text = f"Killing a second process for {child.identity} (pid {pid}, there is pid {child.pid})"
            return [Log(logging.ERROR, text), do.Kill(pid)]
        child.start(pid, generation, now)
        actions = _log_replacement(child)
        if child.policy.proven_by_joins:
            self._join_warning_at = now + JOIN_WARNING_AFTER
            self._capacity.on_web_server_start(self._children, now)
        if self.stopping:
            child.deadline = self._stop.until(child)
            return [*actions, *(self._stop.drain(self._children) if self._stop.idle else [])]
        is_old = child.policy.reload == "replace" and generation != self.generation
        return [*actions, *(self._drain(child, now) if is_old else [])]

    def _on_fork_failed(self, child: Child, generation: int, reason: str, now: float) -> list[Action]:
        if child.state != "forking" or child.generation != generation:
            return []
        child.clear()
        child.early_exits += 1
        child.deadline = min(now + child.delay(), self._stop.by)
        return [Log(logging.ERROR, f"Cannot fork {child.identity} ({reason}), trying again in {child.delay():g} s")]

    def _on_join(self, pid: int, now: float, *, at_request: bool) -> list[Action]:
        if self.worker_of(pid) is not None or not self._children.accept_joins:
            return []
        free, actions = self._capacity.assign(pid, self._children, now)
        if free is None:
            return actions
        free.start(pid, self.generation, now)
        free.awaited = not at_request
        return [*actions, do.Watch(free.identity, pid), *_log_replacement(free)]

    # Replacing processes, and processes that exit

    def _reload_child(self, child: Child, now: float) -> list[Action]:
        if child.policy.reload == "itself":
            child.generation = self.generation
        if child.policy.reload in ("leave", "itself"):
            return []
        if child.policy.reload == "hang_up":
            child.generation, child.hung_up, child.failures = self.generation, True, 0
            return [do.ReloadCommand(child.pid)]
        return self._drain(child, now)

    def _drain(self, child: Child, now: float) -> list[Action]:
        child.state, child.deadline = "draining", now + self.graceful_timeout
        return [do.Drain(child.pid)]

    def _on_exit(self, event: events.Exited, now: float) -> list[Action]:
        child, uptime = self._children[event.process], now - self._children[event.process].since
        child.note_exit(event.reason, now, is_recycled=event.expected)
        if child.policy.restart == "if_proven" and not self.stopping:
            proven = self._children.proven(child, -NEVER if event.code else child.since)
            if not (proven or child.hung_up):
                return self._stop_with(child, event, now, proven=proven)
        was_told, was_started = child.state in ("draining", "killed"), child.state != "absent"
        if child.policy.origin == "command" and not was_told:
            self._children.note_command_exit(child, event.reason, event.code)
        not_told = [] if was_told or event.expected else self._stop.explain_early_exit(child, now)
        # A web server may take long to notice that it cannot load its application, and serves nobody before.
        early = not was_started or uptime < MIN_UPTIME or not self._children.proven(child, child.since)
        child.clear()
        self._capacity.on_left(child, now)
        if self._stop.is_over_for(child, now) or child.policy.origin == "join":
            return not_told
        if not was_told and child.ends_after(event.code):
            return self._end(child, event)
        if was_told or event.expected:
            child.early_exits = 0
            return self._start(child, now)
        child.early_exits = child.early_exits + 1 if early else 0
        if not child.early_exits:
            return [Log(logging.WARNING, f"{child.name} exited ({event.reason}), restarting"), *self._start(child, now)]
        child.deadline = min(now + child.delay(), self._stop.by)
        text = f"exited ({event.reason}) {uptime:.1f} s after its start, restarting in {child.delay():g} s"
        not_started = f"did not start ({event.reason}), trying again in {child.delay():g} s"
        return [Log(logging.WARNING, f"{child.name} {text if was_started else not_started}")]

    def _end(self, child: Child, event: events.Exited) -> list[Action]:
        """Let a command be that has ended, as its policy says."""
        child.expected, child.early_exits = False, 0
        level = logging.WARNING if event.code else logging.INFO
        return [Log(level, f"{child.name} exited ({event.reason}), not restarting it")]

    def _stop_with(self, child: Child, event: events.Exited, now: float, *, proven: bool) -> list[Action]:
        """Stop the server, because a command exited."""
        child.clear()
        self._stop.code = abs(event.code)
        text = f"{child.name} exited ({event.reason}){'' if proven else ' before any worker joined'}, stopping"
        return [Log(logging.ERROR if event.code else logging.INFO, text), *self._on_stop(now)]

    # Deadlines

    def _on_due(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self._loads.retry_at <= now:
            self._loads.retry_at = NEVER
            actions += self._loads.load(now) if not self._loads.loading else []
        if self._join_warning_at <= now:
            self._join_warning_at = NEVER
            actions += [] if self.stopping else warn_not_joined(self._children, JOIN_WARNING_AFTER)
        actions += self._ages.due(self._children, now, stopping=self.stopping)
        actions += self._capacity.vacate(self._children, now)
        for generation, state in self._loads.overdue(now):
            actions += self._on_fork_server_overdue(generation, state, now)
        actions += self._loads.check_slow(now)
        for child in self._children:
            if child.deadline <= now:
                child.deadline = NEVER
                actions += self._on_overdue(child, now)
        return [*actions, *self._stop.drain_overdue(self._children, now)]

    def _on_fork_server_overdue(self, generation: int, state: str, now: float) -> list[Action]:
        if state == "loading":
            actions = self._loads.kill(generation, now)
            return [*actions, *self._give_up_load(generation, f"not loaded within {LOAD_TIMEOUT:g} s", now)]
        if state == "retiring":
            return self._loads.stop(generation, now)
        if state == "stopping":
            return self._loads.kill_stopping(generation, now)
        return self._on_fork_server_exit(generation, f"it still exists {KILL_TIMEOUT:g} s after SIGKILL", now)

    def _on_overdue(self, child: Child, now: float) -> list[Action]:
        match child.state:
            case "absent":
                return self._start(child, now) if now < self._stop.by else []
            case "forking":
                return self._on_fork_timeout(child, now)
            case "running" | "draining":
                child.state, child.deadline = "killed", now + KILL_TIMEOUT
                return [self._stop.explain_kill(child), do.Kill(child.pid)]
            case "killed":
                return self._on_kill_timeout(child, now)

    def _on_fork_timeout(self, child: Child, now: float) -> list[Action]:
        generation, was_current = child.generation, child.generation == self.generation and self._loads.can_fork
        child.clear()
        if self._stop.is_over_for(child, now):
            return []
        actions = self._loads.kill(generation, now)
        if was_current:
            what = f"{child.identity} was not forked within {child.policy.fork_timeout:g} s, killed the fork server"
            return [*actions, *self._replace_fork_server(what, now)]
        if actions:
            text = f"The fork server of generation {generation} has not forked {child.identity} in time, killing it"
            actions = [Log(logging.WARNING, text), *actions]
        return [*actions, *self._start(child, now)]

    def _on_kill_timeout(self, child: Child, now: float) -> list[Action]:
        text = f"{child.name} (pid {child.pid}) still exists {KILL_TIMEOUT:g} s after SIGKILL"
        if self.stopping:
            child.clear()
            return [Log(logging.ERROR, f"{text}, stopping without it")]
        child.deadline = now + KILL_TIMEOUT
        return [Log(logging.ERROR, text), do.Kill(child.pid)]


def _log_replacement(child: Child) -> list[Action]:
    if not child.last_pid or child.identity.role == "command":  # the start of a command is logged
        return []
    return [Log(logging.INFO, f"Replaced {child.identity.title} (old pid {child.last_pid}, new pid {child.pid})")]
