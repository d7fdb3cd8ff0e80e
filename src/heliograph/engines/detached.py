"""The engine of a process without a server. It accepts registrations, and raises `NoEngine` when you send."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.engines.running_tests import warn_in_tests
from heliograph.engines.task_stores import LazyStore
from heliograph.exceptions import NoEngine
from heliograph.interfaces import Clock, Handler
from heliograph.ipc.doorbell import ring
from heliograph.ipc.state_directory import SYNC_ENV, find_store
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity, Topology, Trigger
from heliograph.timing.clocks import SystemClock

if TYPE_CHECKING:
    from heliograph.interfaces.store import TaskStore

_REASON = (
    "no server is running in this process. Start the application with `heliograph run APP`, use the fixture "
    "`heliograph_engine` in tests or send(remote=ADDRESS) from outside, or see docs/reference/exceptions.md."
)


class DetachedEngine(ProcessLocalNames, NoWebServer):
    """The engine of a process that no server started."""

    name = "detached"
    can_change_target = True

    def __init__(
        self, reason: str = _REASON, server: str | None = None, directory: Path | None = None, *, selected: bool = False
    ) -> None:
        """Create an engine.

        Args:
            reason: Completes the sentences of `NoEngine`: why there is no server, and what to do.
            server: Name of the server whose tasks this process stores. None: see `find_store`.
            directory: Directory of these tasks, if it is known.
            selected: heliograph selected this engine, so the first use of tasks in a test of the application warns.
        """
        self._may_warn = selected
        self._reason = reason
        self._store = LazyStore(lambda: (directory or find_store(server), os.environ.get(SYNC_ENV, "disk")))
        self.clock: Clock = SystemClock()

    @property
    def identity(self) -> Identity:
        return Identity("external")

    @property
    def topology(self) -> Topology | None:
        return None

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        """Do nothing: the registry of this process keeps the handler."""

    def signal_registered(self, num: int) -> bool:  # noqa: ARG002 - the interface has it
        return False

    def signal(self, num: int, timeout: float) -> NoReturn:  # noqa: ARG002
        raise NoEngine(f"signal {num} was not sent: {self._reason}")

    def signal_wait(self, num: int | None, timeout: float | None) -> NoReturn:  # noqa: ARG002
        raise NoEngine(f"no signal can arrive: {self._reason}")

    def add_trigger(self, trigger: Trigger) -> None:
        """Do nothing: the runtime keeps the trigger."""

    def remove_trigger(self, name: str) -> None:
        """Do nothing."""

    def change_period(self, name: str, period: float) -> None:
        """Do nothing: the runtime keeps the period."""

    def on_wake(self, target: str, run: Callable[[], object]) -> None:
        """Do nothing: no task runs in this process."""

    def wake(self, target: str) -> None:
        ring(str(self._store.directory), target)

    def wake_at(self, target: str, when: float) -> None:
        ring(str(self._store.directory), target, when)

    def task_store(self) -> TaskStore:
        if self._may_warn:
            self._may_warn = False
            warn_in_tests(str(self._store.directory))
        return self._store.get()

    def on_drain(self, hook: Callable[[], None]) -> None:
        """Do nothing: no server drains this process."""

    def on_start(self, hook: Callable[[], None]) -> None:
        """Do nothing: this process takes no signals and no tasks."""

    def on_stop(self, hook: Callable[[], None]) -> None:
        """Do nothing, as `on_start`."""

    def on_fork(self, hook: Callable[[], None]) -> None:
        """Do nothing: no server forks this process."""

    def in_farm(self, name: str) -> bool:  # noqa: ARG002
        return False

    def masterpid(self) -> int:
        return 0

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    def spooler_pids(self) -> tuple[int, ...]:
        return ()

    def opt(self) -> Mapping[str, Any]:
        return {}

    def version(self) -> str:
        return ""
