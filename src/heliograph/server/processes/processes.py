"""Starts, signals and reaps the server's processes: carries out actions, and turns exits and reports into events."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from heliograph._core.schedule.trigger_codec import from_json
from heliograph._core.supervision import actions, events
from heliograph._core.supervision.children import EXIT_RECYCLED, WEB_SERVER
from heliograph.ipc.time_limit import LIMIT_SIGNAL
from heliograph.models import SIGNALS, CronRule, FileMonitor, Identity, Timer
from heliograph.server.commands import Commands
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.processes.fork_servers import ForkServers
from heliograph.server.processes.process_tree import children_of
from heliograph.server.processes.redelivery import Redelivery
from heliograph.server.server_queues import ServerQueues
from heliograph.server.services.reports import Report, Reports
from heliograph.server.services.scheduler import SchedulerService
from heliograph.settings.known_web_servers import remark

_LOG = logging.getLogger("heliograph.master")

_WNOTHREAD = 0x2000_0000
"""Option of `waitid(2)` on Linux that `os` lacks: leave out the children of other threads."""
_CANNOT_START = 127
"""Exit code for a command that cannot be started, as in a shell."""


class Processes:
    """The processes of a server. The master is the parent or the subreaper of all of them except joined ones."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        queues: ServerQueues,
        fork_servers: ForkServers,
        commands: Commands,
    ) -> None:
        self._dispatcher = dispatcher
        self._supervisor = dispatcher.supervisor
        self._memory = queues.memory
        self._redelivery = Redelivery(queues)
        self.fork_servers = fork_servers
        self._commands = commands
        self._has_remarked = False
        self._uncalled = ""
        """The application with the call of its factory, if that was not called when it was loaded last."""
        self._unreported_exits: dict[int, int] = {}
        """Exit codes of children that no report has named yet: an exit may overtake the report of the fork."""
        self._recycling: dict[int, str] = {}
        """Reasons of the processes that exit because of a limit, by process id."""
        self._read_reports: Callable[[float], None] = lambda _: None
        self._foreign = children_of(os.getpid())
        """Children that this process had before. Its program waits for them."""

    # Actions

    def carry_out_actions(self, watch: Callable[[int, Identity], bool]) -> None:
        """Carry out the actions that concern processes. `watch` reports the exit of a process that joined."""
        on = self._dispatcher.on
        on(actions.StartForkServer, lambda action: self._start_fork_server(action.generation))
        on(actions.StopForkServer, lambda action: self.fork_servers.stop(action.generation))
        on(actions.KillForkServer, lambda action: self.fork_servers.kill(action.generation))
        on(actions.ReportSlowLoad, lambda action: self.fork_servers.log_slow(action.generation, action.seconds))
        on(actions.Fork, lambda action: self.fork_servers.fork(action.generation, action.process))
        on(actions.StartCommand, lambda action: self._start_command(action.process))
        on(actions.ReloadCommand, lambda action: _kill(action.pid, signal.SIGHUP))
        on(actions.Drain, lambda action: self._drain(action.pid))
        on(actions.Kill, lambda action: self._kill(action.pid))
        on(actions.Watch, lambda action: self._watch(action, watch))
        self._dispatcher.observe(lambda _: self._memory.wakeups.close_if(stopping=self._supervisor.stopping))

    def _start_fork_server(self, generation: int) -> None:
        try:
            self.fork_servers.start(generation)
        except OSError as error:
            reason = f"cannot start the fork server: {error.strerror or error}"
            self._dispatcher.handle(events.ForkServerExited(generation, reason), time.monotonic())

    def _start_command(self, process: Identity) -> None:
        now, argv = time.monotonic(), self._commands[process].command.argv
        try:
            pid = self._commands[process].start()
        except OSError as error:
            reason = f"cannot start {argv[0]}: {error.strerror or error}"
            self._dispatcher.handle(events.Exited(process, reason, code=_CANNOT_START), now)
        else:
            title = process.title if process == WEB_SERVER else f"command {process}"
            _LOG.info("Started %s: %s (pid %d)", title, " ".join(argv), pid)
            if process == WEB_SERVER:
                self._log_remark(argv)
            self._dispatcher.handle(events.Started(process, pid, self._supervisor.generation), now)

    def _log_remark(self, command: Sequence[str]) -> None:
        """Log once if the web server is not known, or was not tested in this version."""
        text, self._has_remarked = "" if self._has_remarked else remark(command), True
        if text:
            _LOG.log(logging.INFO if text.startswith("Unknown") else logging.WARNING, "%s", text)

    def _watch(self, action: actions.Watch, watch: Callable[[int, Identity], bool]) -> None:
        if not watch(action.pid, action.process):
            self.on_left(action.process, time.monotonic())

    def _kill(self, pid: int) -> None:
        if (process := self._commands.find(pid)) is not None:
            self._commands[process].kill(self._spared(pid))
        else:
            _kill(pid, signal.SIGKILL)

    def _drain(self, pid: int) -> None:
        if (process := self._commands.find(pid)) is not None:
            self._commands[process].drain()
        else:
            _kill(pid, signal.SIGTERM)

    def _spared(self, pid: int) -> frozenset[int]:
        """Return the processes of the server that do not belong to a command which is killed."""
        return self._forked_pids().union(self._commands.pids()) - {pid}

    def _forked_pids(self) -> frozenset[int]:
        """Return the process ids of the fork servers, and of the processes that they have forked."""
        forked = (
            pid
            for process, pid in self._supervisor.pids().items()
            if process not in self._commands and not self._supervisor.is_external(process)
        )
        return frozenset((*forked, *self.fork_servers.pids()))

    def activate(self, generation: int, scheduler: SchedulerService) -> None:
        """Use the routes and triggers of the code that a fork server has loaded."""
        self._memory.live.copy_from(self._memory.staged)
        self._memory.wakeups.forget()  # a number may wake another target now
        triggers = from_json(self.fork_servers.triggers(generation))
        scheduler.replace_all(triggers)
        routes = [route for num in range(SIGNALS) if (route := self._memory.live[num]) is not None]
        targets = sum(route.wakeup for route in routes)
        _log_loaded(len(routes) - targets, Counter(type(trigger.spec) for trigger in triggers), targets, self._uncalled)

    # Reports

    def listen_to(self, reports: Reports) -> None:
        """Handle the reports that concern processes."""
        reports.on("ready", self._on_loaded)
        reports.on("failed", self._on_load_failed)
        reports.on("forked", self._on_forked)
        reports.on("fork_failed", self._on_fork_failed)
        reports.on("up", self._on_ready)
        reports.on("recycling", self._on_recycling)
        self._read_reports = reports.read

    def _on_loaded(self, report: Report, now: float) -> None:
        self._uncalled = report.get("uncalled", "")
        self._dispatcher.handle(events.ForkServerReady(report["generation"]), now)

    def _on_load_failed(self, report: Report, now: float) -> None:
        self._dispatcher.handle(events.ForkServerFailed(report["generation"], report["failed"].strip()), now)

    def _on_forked(self, report: Report, now: float) -> None:
        pid: int = report["pid"]
        self._dispatcher.handle(events.Started(Identity(*report["forked"]), pid, report["generation"]), now)
        if pid in self._unreported_exits:
            self._on_exit(pid, self._unreported_exits.pop(pid), now)
        elif _exited_child(os.P_PID, pid) is not None:
            self._reap(pid, now)
        self._forget_strangers()

    def _on_fork_failed(self, report: Report, now: float) -> None:
        process = Identity(*report["fork_failed"])
        self._dispatcher.handle(events.ForkFailed(process, report["generation"], report["reason"]), now)
        self._forget_strangers()

    def _on_ready(self, report: Report, now: float) -> None:
        self._dispatcher.handle(events.ProcessReady(Identity(*report["up"])), now)

    def _on_recycling(self, report: Report, _now: float) -> None:
        process, reason = Identity(*report["recycling"]), report["reason"]
        self._recycling[report["pid"]] = reason
        if report["is_early"]:
            _LOG.warning("Recycling %s soon after its start: %s. If this goes on, raise the limit", process, reason)
        else:
            _LOG.info("Recycling %s: %s", process, reason)

    # Exits

    def reap(self, now: float) -> None:
        """Reap the children that have exited, except those of the program that called `serve()`."""
        self._read_reports(now)  # a process may have said why it exits
        while (pid := _exited_child(os.P_ALL, 0)) is not None:
            if pid in self._foreign:  # It hides those behind it, so ask for each of ours.
                for known in (*self._forked_pids(), *self._commands.pids()):
                    if _exited_child(os.P_PID, known) is not None:
                        self._reap(known, now)
                return
            self._reap(pid, now)

    def _reap(self, pid: int, now: float) -> None:
        if (process := self._commands.find(pid)) is not None:
            # Processes that it left behind would keep the address of its successor.
            self._commands[process].kill(self._spared(pid))
        _, status = os.waitpid(pid, 0)
        self._on_exit(pid, os.waitstatus_to_exitcode(status), now)

    def on_left(self, process: Identity, now: float) -> None:
        """Handle the exit of a process that had joined."""
        self._recover(process)
        self._dispatcher.handle(events.Exited(process, "it left", expected=True), now)

    def close(self) -> None:
        """Kill and reap all processes that are left."""
        self.fork_servers.close()
        self._commands.close(self._forked_pids())
        for pid in self._supervisor.pids().values():
            _kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _on_exit(self, pid: int, code: int, now: float) -> None:
        reason = self._recycling.pop(pid, "") or _exit_reason(code)
        generation = self.fork_servers.forget(pid, code)
        if generation is not None:
            self._dispatcher.handle(events.ForkServerExited(generation, reason), now)
            return
        if (command := self._commands.find(pid)) is not None:
            self._commands[command].forget()
            self._dispatcher.handle(events.Exited(command, reason, code=code), now)
            return
        process = self._supervisor.identity_of(pid)
        if process is not None and not self._supervisor.is_external(process):
            self._recover(process, timed_out=code == -LIMIT_SIGNAL)
            self._dispatcher.handle(events.Exited(process, reason, expected=code == EXIT_RECYCLED), now)
        elif self._supervisor.forking:  # Else it is an orphan that the application started.
            self._unreported_exits[pid] = code

    def _recover(self, process: Identity, *, timed_out: bool = False) -> None:
        self._memory.counters.slots[self._memory.slot_number(process)].pid = 0
        self._redelivery.recover(process, timed_out=timed_out)

    def _forget_strangers(self) -> None:
        if not self._supervisor.forking:
            self._unreported_exits.clear()


def _exited_child(kind: int, number: int) -> int | None:
    """Return the process id of a child that has exited, without reaping it. Children of other threads do not count."""
    try:
        child = os.waitid(kind, number, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD)
    except ChildProcessError:
        return None
    return None if child is None else child.si_pid


def _exit_reason(code: int) -> str:
    if code == -LIMIT_SIGNAL:
        return "its handler exceeded the time limit"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _kill(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # It has exited, and SIGCHLD reports that.
        os.kill(pid, signum)


def _log_loaded(signals: int, triggers: Mapping[type, int], targets: int = 0, uncalled: str = "") -> None:
    """Log how many signals and triggers the application has registered. `targets` are those of its tasks.

    `uncalled` is the application with the call of its factory, if it has one that was not called.
    """
    kinds = {"timer": Timer, "cron rule": CronRule, "file monitor": FileMonitor}
    counts = [_counted(signals, "signal"), *(_counted(triggers.get(kind, 0), name) for name, kind in kinds.items())]
    _LOG.info("Loaded %s", ", ".join([*counts, *([f"tasks for {_counted(targets, 'target')}"] if targets else [])]))
    if not signals and not targets:
        advice = f"To call its factory, write {uncalled!r}." if uncalled else "Import the modules that register them."
        _LOG.warning("Loaded no handlers: the application has registered none. %s", advice)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
