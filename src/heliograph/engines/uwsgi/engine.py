"""The engine that uses the real `uwsgi` module. It rejects registrations that uWSGI accepts and later ignores."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable

import uwsgi

from heliograph._core.signals.targets import queues_read_by
from heliograph.engines.life_hooks import LifeHooks
from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.engines.uwsgi.fork_hooks import ForkHooks
from heliograph.engines.uwsgi.registration_checks import check_registration
from heliograph.engines.uwsgi.waiting import UwsgiWaiting
from heliograph.engines.uwsgi.wakeups import UwsgiWakeups
from heliograph.exceptions import RegistrationError
from heliograph.interfaces import Handler
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity


class UwsgiEngine(UwsgiWakeups, UwsgiWaiting, ProcessLocalNames, LifeHooks, NoWebServer):
    """Signals of the uWSGI server that this process belongs to."""

    name = "uwsgi"
    can_change_target = False

    def __init__(self) -> None:
        super().__init__()
        self._fork_hooks = ForkHooks(self._after_fork, self._start)

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        self._wakeups.check_free(num, options.name)
        check_registration(num, target, options, self.identity, self._topology)
        self._register(num, target, handler, coalesce=options.coalesce)

    def _register(self, num: int, target: str, handler: Handler, *, coalesce: bool = False) -> None:
        try:
            uwsgi.register_signal(num, target, self._handle_coalesced if coalesce else self._handle)
        except ValueError as error:
            raise RegistrationError(num, f"uWSGI rejected the target {target!r}. See the log of uWSGI.") from error
        self._handlers[num] = handler
        self._credits[num] = self._flow_control.to(target)

    def signal_registered(self, num: int) -> bool:
        return bool(uwsgi.signal_registered(num))

    def on_drain(self, hook: Callable[[], None]) -> None:
        """Do nothing: uWSGI does not say when it stops a process."""

    def on_fork(self, hook: Callable[[], None]) -> None:
        if self.identity.role == "master":
            self._fork_hooks.add(hook)
        else:
            hook()

    def on_start(self, hook: Callable[[], None]) -> None:
        """Call the hook now in a worker with --lazy-apps: uWSGI calls nothing after it has loaded the application."""
        super().on_start(hook)
        self._start()

    def on_stop(self, hook: Callable[[], None]) -> None:
        """Call the hook before the functions that were given to `atexit` earlier. uWSGI kills spoolers."""
        super().on_stop(hook)
        self._start()

    def _start(self) -> None:
        if self._is_process() and self._started_in != os.getpid():
            self.run_start_hooks()
            atexit.register(self.run_stop_hooks)

    def _is_process(self) -> bool:
        return self.identity.role in ("worker", "mule", "spooler")

    def _handle(self, num: int) -> None:
        if os.getpid() != self._pid:
            self._refresh_identity()
        slot = self._slot
        slot.started[num] += 1
        try:
            failure = self._handlers[num](num)
        except KeyboardInterrupt:  # uWSGI would print it and continue, although it should end the process
            raise SystemExit(130) from None
        if failure is None:
            slot.done[num] += 1
        else:
            slot.failed[num] += 1

    def _handle_coalesced(self, num: int) -> None:
        """Leave the signal to a later one of the same number that this process or another one will handle."""
        credit = self._credits[num]
        assert credit is not None  # it was registered
        mine = set(queues_read_by(self.identity, self._topology))
        if self._capacity.is_queued(num, mine.intersection(credit.queues)):
            self._slot.coalesced[num] += 1
        else:
            self._handle(num)

    def _after_fork(self) -> Identity:
        self._refresh_identity()
        self._schedule_all()
        self._look_for_tasks()
        return self._identity
