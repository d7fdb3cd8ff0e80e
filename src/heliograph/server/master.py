"""The master: starts processes, watches them, settles what a killed one owes. It never imports the application.

One thread and one loop over: UNIX signals (children that ended, stop, reload), reports of its processes, the control
socket, and deadlines. With nothing to do it sleeps. What to do is decided by `_core.supervise`; here it is done.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from heliograph._core.schedule.trigger_codec import from_json
from heliograph._core.supervision import actions as do
from heliograph._core.supervision.supervisor import EXIT_RECYCLED, WEB_SERVER, Supervisor
from heliograph.ipc import instance
from heliograph.ipc.inherited import InheritedState, ProcessSettings, queue_descriptors
from heliograph.ipc.pipes import make_pipes, server_queues
from heliograph.ipc.prctl import set_child_subreaper
from heliograph.ipc.process_title import set_process_title
from heliograph.ipc.request_server import RequestServer
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity
from heliograph.server.processes.fork_servers import ForkServers
from heliograph.server.processes.pidfd_watcher import PidfdWatcher
from heliograph.server.processes.redelivery import Redelivery
from heliograph.server.processes.web_server import WebServerProcess
from heliograph.server.services.control import ControlServer
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.uwsgi_listener import UwsgiListener
from heliograph.settings.options import ServerSettings
from heliograph.triggers.last_runs import LastRunStore
from heliograph.triggers.scheduler import MasterScheduler

_LOG = logging.getLogger("heliograph.master")

_SIGNALS = {do.ReloadWebServer: signal.SIGHUP, do.Drain: signal.SIGTERM, do.Kill: signal.SIGKILL}
_MILLISECOND = 0.001
_CANNOT_START = 127
"""Exit code for a command that cannot be started, as a shell has it."""
_MAX_RUNS = 1000
"""Runs to come that are told at a time."""
_IDLE_POLL = 0.02
"""Seconds between two looks whether the server is quiet, while it is stopping and only then."""


class Master:
    """Runs a server until it is told to stop."""

    def __init__(self, settings: ServerSettings) -> None:
        """Takes the server's name. Raises `ConfigError` if another master has it."""
        self._settings = settings
        self._lock = instance.InstanceLock(settings.name)
        self._memory = SharedMemory.create(settings.topology)
        self._queues = server_queues(settings.topology)
        self._pipes = make_pipes(settings.topology)
        self._slot = self._memory.counters.slots[self._memory.slot_number(Identity("master"))]
        self._settlement = Redelivery(self._memory, settings.topology, self._queues, self._pipes, self._slot)
        self._outgoing = MasterQueues(self._memory, settings.topology, self._queues, self._pipes, self._slot)
        self._supervisor = Supervisor(
            settings.topology, settings.graceful_timeout, with_web_server=bool(settings.command)
        )
        self._templates = ForkServers(self._inherited)
        self._declared: dict[str, int] = {}
        self._unreported_exits: dict[int, int] = {}
        self._code: int | None = None
        self._announced = False
        self._ready: set[Identity] = set()
        self._selector = selectors.DefaultSelector()
        self._reports, self._report_to = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._unread = b""
        self._signals, self._signal_to = socket.socketpair()
        outgoing, memo = self._outgoing, LastRunStore.of_server(settings.name)
        self._raiser = MasterScheduler(self._selector, outgoing.send, outgoing.is_queued, memo=memo)
        self._beside = WebServerProcess(settings.command, instance.control_socket(settings.name))
        self._door = PidfdWatcher(self._selector, self._note_leaving)
        self._fronts: list[RequestServer] = []
        try:
            if settings.listen is not None:
                self._fronts.append(
                    UwsgiListener(
                        settings.listen, self._selector, partial(outgoing.send_external, allowed=settings.allow_remote)
                    )
                )
            control = instance.control_socket(settings.name)
            self._fronts.append(ControlServer(control, self._selector, self._answer))
        except BaseException:
            self._lock.release()
            raise

    def run(self) -> int:
        """Run the server, and return its exit code: 0 after a stop, 2 if the application does not load."""
        self._slot.pid = os.getpid()
        set_child_subreaper(True)
        set_process_title(f"heliograph: master of {self._settings.app}")
        restore = self._watch_signals()
        self._selector.register(self._reports, selectors.EVENT_READ, self._read_reports)
        try:
            self._execute(self._supervisor.start())
            while self._code is None:
                self._turn()
        finally:
            self._end()
            restore()
            self._close()
        return self._code

    # the loop

    def _turn(self) -> None:
        now = time.monotonic()
        deadline = min(self._supervisor.deadline, *(front.deadline for front in self._fronts))
        if not self._supervisor.stopping:
            deadline = min(deadline, self._raiser.deadline)
        if self._supervisor.draining_queues:
            deadline = min(deadline, now + _IDLE_POLL)
        for key, _ in self._selector.select(_milliseconds_until(deadline, now)):
            handle: Callable[[float], None] = key.data
            handle(time.monotonic())
        now = time.monotonic()
        for front in self._fronts:
            front.tick(now)
        if not self._supervisor.stopping:
            self._raiser.tick()
        if self._supervisor.draining_queues and self._outgoing.is_idle(self._supervisor.vacant_workers):
            self._execute(self._supervisor.on_idle())
        self._execute(self._supervisor.tick(now))

    def _watch_signals(self) -> Callable[[], None]:
        self._signals.setblocking(False)
        self._signal_to.setblocking(False)
        self._selector.register(self._signals, selectors.EVENT_READ, self._read_signals)
        watched = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        before = {signum: signal.signal(signum, lambda _signum, _frame: None) for signum in watched}
        wakeup = signal.set_wakeup_fd(self._signal_to.fileno(), warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(wakeup)
            for signum, handler in before.items():
                signal.signal(signum, handler)

        return restore

    def _read_signals(self, now: float) -> None:
        for signum in set(self._signals.recv(4096)):
            if signum in (signal.SIGTERM, signal.SIGINT):
                self._execute(self._supervisor.stop(now))
            elif signum == signal.SIGHUP:
                self._execute(self._supervisor.reload())
            elif signum == signal.SIGUSR1:
                _LOG.info("state: %s", json.dumps(self._state()))
        # Whichever signal it was, and even if its byte was dropped: look who has ended.
        self._reap(now)

    def _read_reports(self, now: float) -> None:
        try:
            self._unread += os.read(self._reports, 65_536)
        except BlockingIOError:
            return
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self._on_report(json.loads(line), now)

    def _on_report(self, report: dict[str, Any], now: float) -> None:
        generation: int = report["generation"]
        if "ready" in report:
            self._memory.live.copy_from(self._memory.staged)
            triggers = from_json(self._templates.triggers(generation))
            self._declared = {trigger.name: trigger.num for trigger in triggers}
            self._raiser.replace_all(triggers)
            self._execute(self._supervisor.fork_server_ready(generation, now))
        elif "failed" in report:
            self._execute(self._supervisor.fork_server_failed(generation, report["failed"].strip(), now))
        elif "forked" in report:
            role, number = report["forked"]
            pid: int = report["pid"]
            self._execute(self._supervisor.forked(Identity(role, number), pid, generation, now))
            if pid in self._unreported_exits:
                self._on_exit(pid, self._unreported_exits.pop(pid), now)
            if not self._supervisor.forking:
                self._unreported_exits.clear()
        elif "up" in report:
            role, number = report["up"]
            self._ready.add(Identity(role, number))
        elif "period" in report:
            self._raiser.change_period(report["trigger"], report["period"])
        elif "trigger" in report:
            self._raiser.remove(report["trigger"])
        self._announce()

    def _announce(self) -> None:
        """Say once that the server is there: every process runs, and has said so."""
        processes = self._settings.topology.processes()
        if self._announced or not self._supervisor.all_running or not self._ready.issuperset(processes):
            return
        self._announced = True
        listed = ", ".join(map(str, processes))
        _LOG.info("ready: %s of %s (name %s)", listed, self._settings.app, self._settings.name)

    # children

    def _reap(self, now: float) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid == self._beside.pid:
                self._beside.kill()  # whom it left behind would keep its successor from the port
            _, status = os.waitpid(ended.si_pid, 0)
            self._on_exit(ended.si_pid, os.waitstatus_to_exitcode(status), now)

    def _on_exit(self, pid: int, code: int, now: float) -> None:
        if pid == self._beside.pid:
            self._beside.pid = 0
            self._execute(self._supervisor.web_server_exited(code, _exit_reason(code), now))
            return
        generation = self._templates.exited(pid, code)
        if generation is not None:
            self._execute(self._supervisor.fork_server_failed(generation, _exit_reason(code), now))
            return
        process = self._supervisor.identity_of(pid)
        if process is None or self._supervisor.is_external(process):  # for those who joined the door has an eye
            if self._supervisor.forking:  # its start is being reported; else it is an orphan of the application's
                self._unreported_exits[pid] = code
            return
        self._recover(process, timed_out=code == -signal.SIGALRM)
        self._execute(self._supervisor.exited(process, _exit_reason(code), expected=code == EXIT_RECYCLED, now=now))

    def _note_leaving(self, process: Identity, now: float) -> None:
        """A process that had joined has ended."""
        self._recover(process)
        self._ready.discard(process)
        self._execute(self._supervisor.exited(process, "it left", expected=True, now=now))

    def _recover(self, process: Identity, *, timed_out: bool = False) -> None:
        self._memory.counters.slots[self._memory.slot_number(process)].pid = 0
        self._settlement.recover(process, timed_out=timed_out)

    # actions

    def _execute(self, actions: list[do.Action]) -> None:
        for action in actions:
            match action:
                case do.StartForkServer(generation):
                    self._templates.start(generation)
                case do.StopForkServer(generation):
                    self._templates.end(generation)
                case do.Fork(generation, process):
                    self._templates.fork(generation, process)
                case do.StartWebServer():
                    self._start_server()
                case do.ReloadWebServer(pid) | do.Drain(pid) | do.Kill(pid):
                    _kill(-pid if action == do.Kill(self._beside.pid) else pid, _SIGNALS[type(action)])
                case do.Log(level, text):
                    _LOG.log(level, "%s", text)
                case do.Finish(code):
                    self._code = code

    def _start_server(self) -> None:
        now = time.monotonic()
        try:
            pid = self._beside.start()
        except OSError as error:
            self._execute(self._supervisor.web_server_exited(_CANNOT_START, error.strerror or str(error), now))
        else:
            _LOG.info("started %s, process %d", " ".join(self._beside.command), pid)
            self._execute(self._supervisor.forked(WEB_SERVER, pid, self._supervisor.generation, now))

    def _inherited(self, generation: int, **descriptors: int) -> InheritedState:
        settings = self._settings
        return InheritedState(
            generation=generation,
            master=os.getpid(),
            descriptors={
                "memory": self._memory.fd,
                "reports": self._report_to,
                **queue_descriptors(settings.topology, self._pipes),
                **descriptors,
            },
            settings=ProcessSettings(
                topology=settings.topology,
                app=str(settings.app),
                lazy=settings.lazy_apps,
                max_signals=settings.max_signals,
                time_limit=settings.time_limit,
                log_level=settings.log_level,
            ),
        )

    def _end(self) -> None:
        self._templates.end_all()
        if self._beside.pid:
            self._beside.kill()
        for pid in (*self._supervisor.pids().values(), *self._templates):
            _kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        lost = self._outgoing.queued()
        if lost:
            _LOG.warning("%d signals were still waiting and are lost", lost)

    def _close(self) -> None:
        """Leave nothing open or changed: the program that was a master may go on."""
        set_child_subreaper(False)
        for front in self._fronts:
            front.close()
        self._templates.close()
        self._door.close()
        self._raiser.close()
        self._lock.release()
        self._selector.close()
        self._signals.close()
        self._signal_to.close()
        pipes = [fd for pipe in self._pipes for fd in pipe]
        for fd in (self._reports, self._report_to, self._memory.fd, *pipes):
            os.close(fd)

    # for others

    def _answer(self, request: dict[str, Any], pid: int) -> tuple[dict[str, Any], Sequence[int]]:
        match request:
            case {"do": "attach"}:
                inherited = self._inherited(self._supervisor.generation)
                passed = tuple(inherited.descriptors.values())
                return {"inherited": inherited.to_json(), "triggers": self._declared}, passed
            case {"do": "join"}:
                return self._assign_worker_number(pid), ()
            case {"do": "signals"}:
                return self._state(), ()
            case {"do": "next", "count": int(count)}:
                return {"next": self._raiser.upcoming(max(0, min(count, _MAX_RUNS)))}, ()
            case {"do": "reload"}:
                self._execute(self._supervisor.reload())
            case {"do": "stop"}:
                self._execute(self._supervisor.stop(time.monotonic()))
            case _:
                known = "signals, next (with a count), attach, join, reload or stop"
                return {"error": f"cannot do {request}; {known} can be done"}, ()
        return {"pid": os.getpid()}, ()

    def _assign_worker_number(self, pid: int) -> dict[str, Any]:
        """What a process of the other server is told that would be a worker: which one, or 0 while there is no seat."""
        if not self._settings.command:
            return {"error": "this server starts its workers itself; give heliograph run a command after two dashes"}
        now = time.monotonic()
        process = self._supervisor.join(pid, now)
        if process is not None and not self._door.watch(pid, process):
            self._note_leaving(process, now)
            process = None
        return {"worker": process.number if process else 0}

    def _state(self) -> dict[str, Any]:
        return {
            "name": self._settings.name,
            "app": str(self._settings.app),
            "pid": os.getpid(),
            "generation": self._supervisor.generation,
            "loading": self._supervisor.loading,
            "complete": self._supervisor.all_running,
            "processes": {str(process): pid for process, pid in self._supervisor.pids().items()},
            "queued": self._outgoing.queued(),
            "triggers": self._raiser.rows(),
            "rejected": self._memory.counters.rejected(),
            "signals": self._outgoing.rows(),
        }


def _milliseconds_until(deadline: float, now: float) -> float | None:
    """Seconds to select for. The kernel would round up to whole ms, so the last fraction of one is slept here."""
    if deadline == float("inf"):
        return None
    left = max(0.0, deadline - now)
    if left >= _MILLISECOND:
        return left - left % _MILLISECOND
    time.sleep(left)
    return 0.0


def _exit_reason(code: int) -> str:
    if code == -signal.SIGALRM:
        return "its handler ran into its time limit"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _kill(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended, and SIGCHLD says so
        os.kill(pid, signum)
