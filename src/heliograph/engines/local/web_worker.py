"""How a process that the master did not fork becomes a worker: attach, wait until it serves, take a seat.

Attached, a process has the server's queues, memory and table; it may send, and register what the server knows. It takes
a seat when the web server that it belongs to serves in it (`hosts`), or when it says so (`join`). Then signals arrive
in a thread, beside the requests.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph._core.signals.handlers import same_function
from heliograph._core.signals.routes import Route
from heliograph.application import AppSpec, load
from heliograph.engines.local import web_server_detection
from heliograph.engines.local.engine import LocalEngine
from heliograph.engines.local.thread_receiver import ThreadReceiver
from heliograph.exceptions import AlreadyRegistered, ConfigError
from heliograph.interfaces import Handler
from heliograph.ipc.control_client import ServerNotRunning, request, request_with_fds
from heliograph.ipc.inherited import InheritedState, report_to_master
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity, Trigger

if TYPE_CHECKING:
    import asyncio

_LOG = logging.getLogger("heliograph.local")

_INITIAL_POLL, _MAX_POLL = 0.01, 0.5
"""Seconds between two looks whether the process serves, or whether a seat is free: the first, and the longest."""
_JOIN_TIMEOUT = 60.0
"""Seconds until it is taken that this process will not serve."""
_NO_WORKER_NUMBER = (
    "process %d gets no signals: as many as were expected have joined (%d); if the server has more processes, say how "
    "many before the two dashes: heliograph run --workers N"
)
_UNKNOWN = (
    "process %d has what %s does not have, and nobody will raise or run it: %s; import the module that has it there, "
    "and heliograph reload if the code has changed"
)
_NO_THREADS = "process %d may send and gets no signals: %s has replaced its threads; use threads, gunicorn -k gthread"
_LEAVE_TIMEOUT = 30.0
"""Seconds that a handler may take to finish when its process ends; its server kills it earlier or later than that."""
_BEFORE_POOLS = 100
"""Finalizers of multiprocessing's own have at most 15; the highest is called first."""


class WebWorkerEngine(LocalEngine):
    """The engine of a process that the server's command started."""

    receiver_class = ThreadReceiver

    def __init__(self, control: Path) -> None:
        """Attaches to the master behind that control socket. Raises `ConfigError` if none answers."""
        self._path = control
        try:
            answer, descriptors = request_with_fds(self._path, {"do": "attach"})
        except ServerNotRunning as error:
            raise ConfigError(f"{error}; HELIOGRAPH_MASTER says so: if that server has ended, unset it") from error
        inherited = InheritedState.received(answer["inherited"], descriptors)
        # When its processes are to be replaced is the other server's affair.
        settings = replace(inherited.settings, max_signals=0)
        super().__init__(replace(inherited, settings=settings), process=Identity("external"))
        self._known_triggers: dict[str, int] = answer["triggers"]
        self._names: dict[int, str] = {}
        self._host_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None
        self._start_anew()
        os.register_at_fork(after_in_child=self._begin_in_child)
        if web_server_detection.serving_state() != "supervising":
            self._start_thread()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop of the web server, once it was seen or told."""
        if self._host_loop is None:
            self._host_loop = web_server_detection.running_loop()
        return self._host_loop

    def join(self, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        with self._one_at_a_time:
            self._host_loop = loop or self._host_loop
            self._join_requested.set()
            if not self._left and (self._thread is None or not self._thread.is_alive()):
                self._start_thread()
        return True

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        """While the application is loaded nothing is refused: it is compared when this process is to be a worker."""
        if not self.loading and not _matches(self.memory.live[num], target, options.name):
            super().register_signal(num, target, handler, options)
            return
        self._accept(num, target, handler, options)
        self._names[num] = options.name

    def add_trigger(self, trigger: Trigger) -> None:
        """The master raises it, if the application that it loaded has it; that is compared later, too."""
        if not self.loading and trigger.name not in self._known_triggers:
            super().add_trigger(trigger)
        self._triggers[trigger.name] = trigger

    def number_of_trigger(self, trigger: str) -> int | None:
        return self._known_triggers.get(trigger)

    def leave(self) -> None:
        self._left = True
        self._join_requested.set()
        if isinstance(self.receiver, ThreadReceiver):
            itself = self.receiver.thread == threading.get_ident()  # a handler need not wait for its own end
            self.receiver.finish(0 if itself else _LEAVE_TIMEOUT)

    def _target_of(self, num: int) -> str:
        """As the server has it. Raises `AlreadyRegistered` if it has another function there than this process."""
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
            f"in {self.inherited.settings.app} {route.handler} has it, with target {route.target!r}; here {name}, "
            f"with target {target!r}. If the code has changed: heliograph reload. Else give the signals names, "
            'Signal(name="..."), so that their numbers do not depend on what is imported first',
            old=route.handler,
            new=name,
        )

    def _reconcile(self) -> bool:
        """Compare all that was registered here with what the server has; what it does not have is told and dropped."""
        self._load_what_is_missing()
        unknown: list[str] = []
        # Copies, since the application may be importing more meanwhile.
        for num in [num for num in list(self._names) if self.memory.live[num] is None]:
            unknown.append(f"signal {num} ({self._names[num]})")
            del self._names[num], self._targets[num], self._handlers[num]
        unknown += [f"{name!r}" for name in list(self._triggers) if name not in self._known_triggers]
        if unknown:
            _LOG.error(_UNKNOWN, os.getpid(), self.inherited.settings.app, ", ".join(unknown))
        for num in list(self._names):
            try:
                self._target_of(num)
            except AlreadyRegistered as error:
                _LOG.error("process %d gets no signals: %s", os.getpid(), error)
                return False
        return True

    def _start_thread(self) -> None:
        patcher = web_server_detection.thread_patcher()
        if patcher:
            _LOG.error(_NO_THREADS, os.getpid(), patcher)
            return
        self._thread = threading.Thread(target=self._serve, name="heliograph", daemon=True)
        self._thread.start()

    def _start_anew(self) -> None:
        """Nothing has begun in this process; the locks of a parent are not its own."""
        self._thread = None
        self._join_requested = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._left = False

    def _begin_in_child(self) -> None:
        self._start_anew()
        if web_server_detection.serving_state() == "supervising":  # this child may be a process that serves
            self._start_thread()

    def _serve(self) -> None:
        try:
            number = self._take_seat() if self._await_serving() and self._reconcile() else 0
        except ConfigError as error:
            _LOG.error("process %d cannot be a worker: %s", os.getpid(), error)
            return
        if number:
            self._run_receiver(Identity("worker", number))

    def _await_serving(self) -> bool:
        """Return when the web server serves in this process; False if it does not seem to, or is ending."""
        pause, until = _INITIAL_POLL, time.monotonic() + _JOIN_TIMEOUT
        while not self._join_requested.wait(pause):
            state = web_server_detection.serving_state()
            if state == "serving":
                break
            if time.monotonic() > until and state != "loading":
                return False
            pause = min(pause * 1.1, _MAX_POLL)
        return not self._left

    def _take_seat(self) -> int:
        """Ask for a seat until one is free: at a reload the new processes come before the old ones go.

        0 if this process leaves before.
        """
        pause, until = _INITIAL_POLL, time.monotonic() + _JOIN_TIMEOUT
        while not self._left:
            number = self._ask_for_seat()
            if number:
                return number
            time.sleep(pause)
            pause = min(pause * 1.5, _MAX_POLL)
            if time.monotonic() > until:
                until = float("inf")
                _LOG.warning(_NO_WORKER_NUMBER, os.getpid(), self.topology.workers)
        return 0

    def _ask_for_seat(self) -> int:
        try:
            return int(request(self._path, {"do": "join"})["worker"])
        except ServerNotRunning:
            return 0  # the master is busy; or it has ended, and its server is ending

    def _load_what_is_missing(self) -> None:
        """Have every handler that a worker needs, also if the web application imports only some of them."""
        if not self.missing_handlers():
            return
        try:
            load(AppSpec.parse(self.inherited.settings.app, Path.cwd()))
        except BaseException:  # noqa: BLE001 - whatever it raises, SystemExit too: the requests go on
            _LOG.exception("%s cannot be loaded in process %d", self.inherited.settings.app, os.getpid())
        for num in self.missing_handlers():
            _LOG.error("process %d has no handler for signal %d; import what registers it", os.getpid(), num)

    def _run_receiver(self, process: Identity) -> None:
        receiver = self.become_process(process)
        self.freeze_registration()
        self.start()
        report_to_master(self.inherited, up=[process.role, process.number])
        if self._left:  # it was said before there was anybody to tell
            receiver.drain()
        _at_exit(self.leave)
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._leave_before_sigterm)
        receiver.run()

    def _leave_before_sigterm(self) -> None:
        """In the main thread. A server that would not let a handler finish is told to end when that has finished.

        Until then it serves, so that also a handler on its event loop comes to its end.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler) and web_server_detection.reraises_sigterm(handler):
            signal.signal(signal.SIGTERM, _in_a_thread(self.leave, handler))


def _matches(route: Route | None, target: str, name: str) -> bool:
    """Whether that is what the server has there."""
    return route is not None and same_function(route.handler, name) and route.target == target


def _in_a_thread(first: Callable[[], None], then: Callable[..., object]) -> Callable[..., None]:
    """A handler of a UNIX signal that does both; if it waited itself, it would stop the event loop."""

    def both(*about: Any) -> None:
        first()
        then(*about)

    def start(*about: Any) -> None:
        threading.Thread(target=both, args=about, name="heliograph-leaving").start()

    return start


def _at_exit(leave: Callable[[], None]) -> None:
    """Have it called when this process ends by itself, while handlers can still use threads and executors.

    What stands in `atexit` comes after `concurrent.futures` has shut its executors, with which a handler would fail
    that only awaits `asyncio.to_thread`. The last hook of `threading` to be registered is the first to be called.
    """
    importlib.import_module("concurrent.futures.thread")  # its hook is there then, whoever needs it when
    try:
        threading._register_atexit(leave)  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    except RuntimeError:  # it is ending already
        leave()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # a process of multiprocessing's first ends its pools
        util.Finalize(None, leave, exitpriority=_BEFORE_POOLS)
