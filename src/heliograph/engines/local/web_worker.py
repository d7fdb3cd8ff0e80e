"""The engine of a web worker: a process that the web server started, not the master.

Such a process attaches to the master at first use, and gets the queues and the shared memory of the server. Then it can
send signals, and register the handlers that the server knows. It asks the master for a worker number as soon as the web
server serves in it (`web_server_detection`) or it calls `join_server()`. From then on it receives signals in a thread.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph._core.signals.handlers import same_function
from heliograph._core.signals.routes import Route
from heliograph.application import AppSpec, load
from heliograph.engines.local import greenlets, web_server_detection
from heliograph.engines.local.asgi_lifespan import call_before_shutdown
from heliograph.engines.local.engine import LocalEngine
from heliograph.engines.local.exit_hooks import call_at_exit, call_before_sigterm
from heliograph.engines.local.receiver import Receiver
from heliograph.engines.local.settling import await_same_code
from heliograph.engines.local.stacks import all_frames
from heliograph.engines.local.thread_receiver import ThreadReceiver
from heliograph.exceptions import AlreadyRegistered, ConfigError
from heliograph.interfaces import Handler
from heliograph.ipc.control_client import ServerNotRunning, request_with_fds
from heliograph.ipc.inherited import COMMAND_ENV, InheritedState, report_to_master
from heliograph.ipc.stack_files import answer_stack_requests, stack_name
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity, Trigger

if TYPE_CHECKING:
    import asyncio

_LOG = logging.getLogger("heliograph.local")

ATTACH_TIMEOUT = 2.0
"""Seconds that the import of a web application waits for the master. Then it goes on, and a thread asks again."""
_INITIAL_POLL, _MAX_POLL = 0.01, 0.5
"""Seconds between two polls whether the process serves, or a worker number is free: the first and the longest."""
_JOIN_TIMEOUT = 60.0
"""Seconds after which a process that does not serve gives up."""
_UNKNOWN = (
    "Process %d registers what %s does not register, so it never runs: %s. Import its module there, or run "
    "`heliograph reload` if the code has changed"
)
_NO_THREADS = (
    "Process %d gets no signals: %s has replaced its threads. Use gunicorn -k gevent or gthread. With gevent, replace "
    "threads before the application is imported"
)
_IS_COMMAND = (
    "Process %d cannot join: it belongs to the command %r. Only processes of the web server after -- become workers"
)
_LEAVE_TIMEOUT = 30.0
"""Seconds that a running handler has when its process exits. The web server may kill the process earlier."""


class WebWorkerEngine(LocalEngine):
    """The engine of a process that the web server started."""

    receiver_class = ThreadReceiver

    def __init__(self, control: Path) -> None:
        """Attach to the master that listens on that control socket. `begin` makes the process join.

        Raises:
            ServerNotRunning: if no master answers within `ATTACH_TIMEOUT`.
            ConfigError: if the master answers with an error.
            IncompatibleServer: if the master runs another version of heliograph.
        """
        await_same_code(control)
        self._path = control
        answer, descriptors = request_with_fds(self._path, "attach", timeout=ATTACH_TIMEOUT)
        inherited = InheritedState.received(answer["inherited"], descriptors)
        # The web server decides when it replaces its processes.
        settings = replace(inherited.settings, max_signals=0, max_rss=0)
        super().__init__(replace(inherited, settings=settings), process=Identity("external"))
        self._known_triggers: dict[str, int] = answer["triggers"]
        self._names: dict[int, str] = {}
        self._web_server_loop: asyncio.AbstractEventLoop | None = None
        self._thread: greenlets.Background | None
        self._command = os.environ.get(COMMAND_ENV, "")
        self._membership: tuple[int, ...] = ()
        """The end of a pipe that says that this process is a worker."""
        self._reset()

    def begin(self) -> None:
        """Join as soon as the web server serves in this process, or in one that it forks."""
        if self._command:
            return
        os.register_at_fork(after_in_child=self._begin_in_child)
        if web_server_detection.serving_state() != "supervising" and self._thread is None:
            self._start_thread()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the web server, once it is detected or given to `join`."""
        if self._web_server_loop is None:
            self._web_server_loop = web_server_detection.running_loop()
        return self._web_server_loop

    def join(self, loop: asyncio.AbstractEventLoop | None = None, *, at_request: bool = False) -> bool:
        if self._command:
            _LOG.error(_IS_COMMAND, os.getpid(), self._command)
            return False
        with self._join_lock:
            self._at_request = at_request
            self._web_server_loop = loop or self._web_server_loop
            self._join_requested.set()
            if not self._left and (self._thread is None or not self._thread.is_alive()):
                self._start_thread()
        return True

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        """Register without a comparison while the application is being loaded: `_reconcile` compares later."""
        if not self.loading and not _matches(self.memory.live[num], target, options.name):
            super().register_signal(num, target, handler, options)
            return
        self._accept(num, target, handler, options)
        self._names[num] = options.name

    def add_trigger(self, trigger: Trigger) -> None:
        """Register without a comparison while the application is being loaded. The master runs the trigger."""
        if not self.loading and trigger.name not in self._known_triggers:
            super().add_trigger(trigger)
        self._triggers[trigger.name] = trigger

    def number_of_trigger(self, trigger: str) -> int | None:
        return self._known_triggers.get(trigger)

    def leave(self) -> None:
        self._left = True
        self._join_requested.set()
        if isinstance(self.receiver, ThreadReceiver):
            in_handler = self.receiver.thread == threading.get_ident()  # a handler cannot wait for its own end
            self.receiver.finish(0 if in_handler else _LEAVE_TIMEOUT)

    def _target_of(self, num: int) -> str:
        """Return the target on the server. Raises: AlreadyRegistered if the server has another function there."""
        route = self.memory.live[num]
        if route is not None and num in self._names:
            self._compare(num, route)
        return route.target if route else ""

    def _compare(self, num: int, route: Route) -> None:
        name, target = self._names[num], self._targets[num]
        if _matches(route, target, name):
            return
        raise AlreadyRegistered(
            num,
            f"{self.inherited.settings.app} registers {route.handler} with target {route.target!r}, and this process "
            f"{name} with target {target!r}. Run `heliograph reload` if the code has changed, or use Signal(name=...) "
            "so that numbers do not depend on the order of imports",
            old=route.handler,
            new=name,
        )

    def _reconcile(self) -> bool:
        """Compare what this process registered with the server. Log and forget what the server does not have.

        Return False if the server has another function for one of the signals.
        """
        self._load_missing_handlers()
        unknown: list[str] = []
        # Iterate over copies, since another thread may still import modules that register.
        for num in [num for num in list(self._names) if self.memory.live[num] is None]:
            unknown.append(f"signal {num} ({self._names[num]})")
            del self._names[num], self._targets[num], self._handlers[num]
        unknown += [f"{name!r}" for name in list(self._triggers) if name not in self._known_triggers]
        unknown += [f"tasks for {target!r}" for target in self._unknown_targets]
        if unknown:
            _LOG.error(_UNKNOWN, os.getpid(), self.inherited.settings.app, ", ".join(unknown))
        for num in list(self._names):
            try:
                self._target_of(num)
            except AlreadyRegistered as error:
                _LOG.error("Process %d gets no signals: %s", os.getpid(), error)
                return False
        return True

    def _start_thread(self) -> None:
        patcher = web_server_detection.thread_patcher()
        if patcher and not greenlets.is_patched():
            _LOG.error(_NO_THREADS, os.getpid(), patcher)
            return
        self._thread = greenlets.start(self._serve, "heliograph")

    def _reset(self) -> None:
        """Begin with no thread and new locks: a thread of the parent may hold those that a fork copied."""
        self._thread = None
        self._join_requested = threading.Event()
        self._join_lock = threading.Lock()
        self._left = self._at_request = False

    def _begin_in_child(self) -> None:
        self._return_worker_number()  # the descriptor of the parent would outlive the parent here
        self._reset()
        if web_server_detection.serving_state() == "supervising":  # it forked a process that may serve
            self._start_thread()

    def _serve(self) -> None:
        serves = self._await_serving()
        if greenlets.is_patched() and not greenlets.in_greenlet():  # this thread has been started before that
            _LOG.error(_NO_THREADS, os.getpid(), "gevent")
            return
        call_before_shutdown(all_frames(), self.leave)
        try:
            number = self._await_worker_number() if serves and self._reconcile() else 0
        except ConfigError as error:
            _LOG.error("Process %d gets no signals: %s", os.getpid(), error)
            return
        if number:
            self._be_worker(Identity("worker", number))

    def _be_worker(self, process: Identity) -> None:
        try:
            receiver = self._prepare_receiver(process)
        except Exception:  # noqa: BLE001 - the requests must go on
            _LOG.exception("Process %d gets no signals: it cannot receive them as %s", os.getpid(), process)
            self._become_sender_only()
            self._return_worker_number()
        else:
            receiver.run()

    def _await_serving(self) -> bool:
        """Return True once the web server serves in this process, False if it never seems to or the process leaves."""
        pause, until = _INITIAL_POLL, time.monotonic() + _JOIN_TIMEOUT
        while not self._join_requested.wait(pause):
            state = web_server_detection.serving_state()
            if state == "serving":
                break
            if time.monotonic() > until and state != "loading":
                return False
            pause = min(pause * 1.1, _MAX_POLL)
        return not self._left

    def _await_worker_number(self) -> int:
        """Return a worker number, or 0 if this process leaves before one is free.

        At a reload of the web server, the new processes start before the old ones leave. The master logs that there are
        more processes than worker numbers.
        """
        pause = _INITIAL_POLL
        while not self._left:
            number = self._request_worker_number()
            if number:
                return number
            time.sleep(pause)
            pause = min(pause * 1.5, _MAX_POLL)
        return 0

    def _request_worker_number(self) -> int:
        try:
            # A web server that is detected starts its processes without waiting for a request.
            late = self._at_request and web_server_detection.serving_state() != "serving"
            answer, self._membership = request_with_fds(self._path, "join", at_request=late)
        except ServerNotRunning:
            return 0  # the master is busy, or has exited and this process soon will
        return int(answer["worker"])

    def _return_worker_number(self) -> None:
        """Let another process have the worker number. The end of this pipe tells the master."""
        membership, self._membership = self._membership, ()
        for fd in membership:
            os.close(fd)

    def _load_missing_handlers(self) -> None:
        """Load the application if the web application did not import all handlers that a worker needs."""
        if not self.missing_handlers():
            return
        try:
            load(AppSpec.parse(self.inherited.settings.app, Path.cwd()))
        except BaseException:  # noqa: BLE001 - SystemExit, too: the requests must go on
            _LOG.exception("Cannot load %s in process %d", self.inherited.settings.app, os.getpid())
        for num in self.missing_handlers():
            _LOG.error("Process %d has no handler for signal %d. Import the module that registers it", os.getpid(), num)

    def _prepare_receiver(self, process: Identity) -> Receiver:
        self.freeze_registration()
        answer_stack_requests(self.inherited.descriptors.get(stack_name(process)))
        receiver = self.become_process(process)
        self.start()
        if isinstance(receiver, ThreadReceiver):
            receiver.on_end = self.run_stop_hooks
        report_to_master(self.inherited, up=[process.role, process.number])
        if self._left:  # `leave` was called before there was a receiver
            receiver.drain()
        call_at_exit(self.leave)
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._leave_before_sigterm)
        return receiver

    def _leave_before_sigterm(self) -> None:
        """Delay SIGTERM until the running handler has returned, if the web server would kill its own process with it.

        Until then the web server serves, so a handler on its event loop can finish, too. Runs in the main thread.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler) and web_server_detection.reraises_sigterm(handler):
            call_before_sigterm(self.leave, handler)


def _matches(route: Route | None, target: str, name: str) -> bool:
    """Return True if the server has that function and target."""
    return route is not None and same_function(route.handler, name) and route.target == target
