"""The master: opens the services of a server and runs their loop. It never imports the application."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack
from functools import partial

from heliograph import __version__
from heliograph._core.supervision import actions
from heliograph._core.supervision.events import StartRequested
from heliograph.exceptions import ConfigError
from heliograph.ipc import instance
from heliograph.ipc.prctl import set_child_subreaper
from heliograph.ipc.process_title import set_process_title
from heliograph.ipc.request_server import ConnectionServer
from heliograph.loop import Loop
from heliograph.server.commands import Commands
from heliograph.server.dispatcher import Dispatcher, make_supervisor
from heliograph.server.inheritance import inherited_state, open_descriptors
from heliograph.server.operations import ServerOperations
from heliograph.server.processes.fork_servers import ForkServers
from heliograph.server.processes.pidfd_watcher import PidfdWatcher
from heliograph.server.processes.processes import Processes
from heliograph.server.progress import log_progress
from heliograph.server.server_queues import ServerQueues
from heliograph.server.services.changes import Changes
from heliograph.server.services.control import ControlServer
from heliograph.server.services.control_watch import open_control_socket
from heliograph.server.services.idle_poll import IdlePoll
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.notify import open_notifier
from heliograph.server.services.reports import Reports
from heliograph.server.services.scheduler import SchedulerService
from heliograph.server.services.stacks import open_stacks
from heliograph.server.services.task_doorbell import TaskDoorbell
from heliograph.server.services.unix_signals import UnixSignals
from heliograph.server.services.uwsgi_listener import open_uwsgi_listener
from heliograph.server.services.verbs import Verbs
from heliograph.server.standard_descriptors import reserve_standard_descriptors
from heliograph.server.unix_signal_handlers import unix_handlers
from heliograph.server.unused_names import UnusedNames
from heliograph.settings.options import ServerSettings
from heliograph.triggers.last_runs import LastRunStore

_LOG = logging.getLogger("heliograph.master")


class Master:
    """Runs a server until a stop is requested. `ends_process`: this process exits as soon as `run` returns."""

    def __init__(self, settings: ServerSettings, *, ends_process: bool = False) -> None:
        self._settings, self._ends_process = settings, ends_process
        self._control = settings.control or instance.control_socket(settings.name)
        self._directory = instance.working_directory()

    def run(self) -> int:
        """Run the server, and return its exit code: 0 after a stop, 2 if the application cannot be loaded.

        Raises: ConfigError: this is not the main thread, another master has the name, or an address cannot be used.
            Nothing is left open then.
        """
        if threading.current_thread() is not threading.main_thread():
            name = threading.current_thread().name
            raise ConfigError(f"cannot run a server in thread {name!r}. Call serve() in the main thread.")
        settings, started_at = self._settings, time.monotonic()
        reserve_standard_descriptors()
        with ExitStack() as stack:
            lock = instance.InstanceLock(settings.name, settings.control)
            stack.callback(lock.release)
            text = "Starting heliograph %s (pid %d, engine local, application %s)"
            _LOG.info(text, __version__, os.getpid(), settings.app)
            server = ServerQueues.create(settings.topology)
            stack.callback(server.close)
            server.warn_if_small()
            loop = stack.enter_context(Loop())
            dispatcher = self._open(loop, server, lock, stack)
            set_process_title(f"heliograph: master of {settings.app}")
            set_child_subreaper(True)
            stack.callback(set_child_subreaper, False)
            server.counters.pid = os.getpid()
            dispatcher.handle(StartRequested(), time.monotonic())
            code = loop.run()
        _LOG.info("Stopped (exit code %d, after %.1f s)", code, time.monotonic() - started_at)
        return code

    def _open(self, loop: Loop, server: ServerQueues, lock: instance.InstanceLock, stack: ExitStack) -> Dispatcher:
        """Open the services. Put on the stack what must happen before they are closed.

        A stop is answered when all processes have exited and the next server can take the name and the addresses.
        """
        settings, supervisor = self._settings, make_supervisor(self._settings)
        dispatcher = loop.open("supervisor", lambda _: Dispatcher(supervisor))
        queues = _master_queues(server, dispatcher)
        reports = loop.open("reports", Reports)
        own = open_descriptors(stack, settings.topology, reports.write_fd)
        inherited = partial(inherited_state, settings, server, **own)
        commands = Commands(settings, self._control, self._directory)
        processes = Processes(dispatcher, server, ForkServers(inherited, self._directory), commands)
        watcher = loop.open("joined processes", lambda s: PidfdWatcher(s, processes.on_left))
        last_runs = LastRunStore.of_server(settings.name)
        scheduler = loop.open("scheduler", lambda s: SchedulerService(s, queues, last_runs, supervisor))
        doorbell = loop.open("doorbell of tasks", lambda s: TaskDoorbell(s, settings, scheduler.wake))
        loop.open("idle poll", lambda _: IdlePoll(dispatcher, queues.is_idle))
        listeners: list[ConnectionServer] = [*open_uwsgi_listener(loop, settings, queues, dispatcher)]
        operations = ServerOperations(settings, dispatcher, queues, scheduler, doorbell)
        changes, handlers = Changes(operations.status), unix_handlers(dispatcher, operations)
        verbs = Verbs(operations.for_verbs(inherited, watcher.take_writing_end), changes).table()
        verbs |= open_stacks(loop, supervisor, own, processes.fork_servers.stack_files)
        listeners.append(open_control_socket(loop, dispatcher, lock, lambda s: ControlServer(self._control, s, verbs)))
        loop.open("unix signals", lambda s: UnixSignals(s, handlers, processes.reap, ends_process=self._ends_process))
        stack.callback(lambda: changes.stopped(loop.code, ends_process=self._ends_process))
        stack.callback(lock.release)
        stack.callback(doorbell.close)
        for listener in listeners:
            stack.callback(listener.stop_listening)
        stack.callback(queues.log_lost)
        stack.callback(processes.close)
        dispatcher.on(actions.Kill, lambda action: doorbell.note_kill(action.pid))  # before `processes` kills it
        processes.carry_out_actions(watcher.watch)
        processes.listen_to(reports)
        scheduler.listen_to(reports)
        dispatcher.on(actions.Activate, partial(_activate, processes, scheduler, doorbell, queues))
        dispatcher.on(actions.Finish, lambda action: loop.stop(action.code))
        dispatcher.observe(lambda _: changes.publish())
        dispatcher.observe(scheduler.on_event)
        dispatcher.observe(UnusedNames(server, supervisor, queues.forget).observe)
        open_notifier(loop, dispatcher)
        log_progress(dispatcher, settings)
        return dispatcher


def _activate(
    processes: Processes,
    scheduler: SchedulerService,
    doorbell: TaskDoorbell,
    queues: MasterQueues,
    action: actions.Activate,
) -> None:
    """Use the code that a fork server has loaded."""
    doorbell.note_directory()
    processes.activate(action.generation, scheduler)
    doorbell.open_if(tasks=bool(queues.wakeup_numbers()))


def _master_queues(server: ServerQueues, dispatcher: Dispatcher) -> MasterQueues:
    """Return the queues. `workers` includes the workers that the supervisor expects."""
    queues = MasterQueues(server, lambda: not dispatcher.supervisor.generation)
    queues.admit(*dispatcher.supervisor.present_processes)
    dispatcher.on(actions.Admit, lambda action: queues.admit(action.process))
    dispatcher.on(actions.Vacate, lambda action: queues.vacate(action.process))
    return queues
