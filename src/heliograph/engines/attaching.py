"""The engine of a web process whose master does not answer: it keeps what is registered, and asks again.

A web application is imported and serves requests whether or not the master answers. Until it does, `send()` raises
`NoEngine`. When it answers, a `WebWorkerEngine` takes over with everything that was registered in the meantime.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.engines.detached import DetachedEngine
from heliograph.engines.local import greenlets, web_server_detection
from heliograph.engines.local.web_worker import WebWorkerEngine
from heliograph.exceptions import ConfigError
from heliograph.interfaces import Engine, Handler
from heliograph.ipc.control_client import ServerNotRunning
from heliograph.models import NO_OPTIONS, HandlerOptions, Timer, Trigger

if TYPE_CHECKING:
    import asyncio

_LOG = logging.getLogger("heliograph.local")

_INITIAL_PAUSE, _MAX_PAUSE = 0.1, 5.0
"""Seconds between two attempts to attach: the first and the longest."""
_NO_ANSWER = "Process %d gets no signals yet: %s It asks again. If the server has stopped, unset HELIOGRAPH_MASTER"
_REASON = "{error} The process asks again. If the server has stopped, unset HELIOGRAPH_MASTER."
_OTHER_NUMBER = (
    "{what} is signal {mine} in this process and signal {server} on the server, because the server did not answer when "
    "this process chose the number. Replace this process of the web server."
)

Operation = Callable[[Engine], object]
"""A call to repeat on the engine that takes over."""


class AttachingEngine(DetachedEngine):
    """Registers as if there were no server, until there is one."""

    name = "local"

    def __init__(self, control: Path, adopt: Callable[[Engine], None], error: ConfigError) -> None:
        """Begin to ask the master at `control`. `adopt` gets the engine that takes over. `error`: why there is none."""
        _LOG.error(_NO_ANSWER, os.getpid(), error)
        super().__init__(_REASON.format(error=error))
        self._control = control
        self._adopt = adopt
        self._names: dict[str, int] = {}
        self._registered: dict[int, Operation] = {}
        self._turns: dict[str, Operation] = {}
        self._triggers: dict[str, Trigger] = {}
        self._hooks: list[Callable[[], None]] = []
        self._drain_hooks: list[Callable[[], None]] = []
        self._life: list[Operation] = []
        self._successor: Engine | None = None
        self._join: Operation | None = None
        self._reset()
        os.register_at_fork(after_in_child=self._begin_in_child)
        if web_server_detection.serving_state() != "supervising":
            self._start_thread()

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        with self._lock:
            if self._successor is not None:
                return self._successor.allocate_name(name, free)
            self._names[name] = super().allocate_name(name, free)
            return self._names[name]

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        with self._lock:
            self._registered[num] = lambda engine: engine.register_signal(num, target, handler, options)
            if self._successor is not None:
                self._registered[num](self._successor)

    def add_trigger(self, trigger: Trigger) -> None:
        with self._lock:
            self._triggers[trigger.name] = trigger
            if self._successor is not None:
                self._successor.add_trigger(trigger)

    def remove_trigger(self, name: str) -> None:
        self._triggers.pop(name, None)

    def change_period(self, name: str, period: float) -> None:
        known = self._triggers.get(name)
        if known is not None and isinstance(known.spec, Timer):
            self._triggers[name] = replace(known, spec=replace(known.spec, period=period))

    def on_wake(self, target: str, run: Callable[[], object]) -> None:
        with self._lock:
            self._turns[target] = lambda engine: engine.on_wake(target, run)
            if self._successor is not None:
                self._turns[target](self._successor)

    def wake(self, target: str) -> None:
        (self._successor.wake if self._successor is not None else super().wake)(target)

    def wake_at(self, target: str, when: float) -> None:
        (self._successor.wake_at if self._successor is not None else super().wake_at)(target, when)

    def on_drain(self, hook: Callable[[], None]) -> None:
        with self._lock:
            self._drain_hooks.append(hook)
            if self._successor is not None:
                self._successor.on_drain(hook)

    def on_start(self, hook: Callable[[], None]) -> None:
        self._add_life_hook(lambda engine: engine.on_start(hook))

    def on_stop(self, hook: Callable[[], None]) -> None:
        self._add_life_hook(lambda engine: engine.on_stop(hook))

    def _add_life_hook(self, add: Operation) -> None:
        with self._lock:
            self._life.append(add)
            if self._successor is not None:
                add(self._successor)

    def on_fork(self, hook: Callable[[], None]) -> None:
        with self._lock:
            self._hooks.append(hook)
            if self._successor is not None:
                self._successor.on_fork(hook)

    def join(self, loop: asyncio.AbstractEventLoop | None = None, *, at_request: bool = False) -> bool:
        with self._lock:
            self._join = lambda engine: engine.join(loop, at_request=at_request)
            if self._successor is not None:
                self._join(self._successor)
        return True

    def leave(self) -> None:
        self._left.set()
        if self._successor is not None:
            self._successor.leave()

    def _reset(self) -> None:
        """Begin with new locks: a thread of the parent may hold those that a fork copied."""
        self._lock = threading.RLock()
        self._left = threading.Event()

    def _begin_in_child(self) -> None:
        self._reset()
        if self._successor is None:
            self._start_thread()

    def _start_thread(self) -> None:
        if not web_server_detection.thread_patcher() or greenlets.is_patched():
            greenlets.start(self._attach, "heliograph-attach")

    def _attach(self) -> None:
        pause = _INITIAL_PAUSE
        while not self._left.wait(pause):
            pause = min(pause * 1.5, _MAX_PAUSE)
            try:
                engine = WebWorkerEngine(self._control)
                with self._lock:
                    self._hand_over(engine)
            except ServerNotRunning:
                continue
            except ConfigError as error:
                self._reason = str(error)
                _LOG.error("Process %d gets no signals: %s", os.getpid(), error)
            return

    def _hand_over(self, engine: WebWorkerEngine) -> None:
        """Register everything with the engine, and let it take over. Raises: ConfigError: a number differs there."""
        for name, mine in self._names.items():
            _check_number(f"The name {name!r}", mine, engine.allocate_name(name, mine.__eq__))
        for trigger in self._triggers.values():
            _check_number(f"Trigger {trigger.name!r}", trigger.num, engine.number_of_trigger(trigger.name))
        for register in (*self._registered.values(), *self._turns.values()):
            register(engine)
        for trigger in self._triggers.values():
            engine.add_trigger(trigger)
        for hook in self._hooks:
            engine.on_fork(hook)
        for hook in self._drain_hooks:
            engine.on_drain(hook)
        for add in self._life:
            add(engine)
        self._successor = engine
        self._adopt(engine)
        _LOG.info("Process %d has attached to the server", os.getpid())
        if self._join is not None:
            self._join(engine)
        engine.begin()


def _check_number(what: str, mine: int, server: int | None) -> None:
    if server not in (None, mine):
        raise ConfigError(_OTHER_NUMBER.format(what=what, mine=mine, server=server))
