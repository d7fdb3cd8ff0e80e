"""The engine of a process without a server. It accepts registrations, and raises `NoEngine` when you send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.exceptions import NoEngine
from heliograph.interfaces import Clock, Handler
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity, Topology, Trigger
from heliograph.timing.clocks import SystemClock

_REASON = (
    "no server is running in this process. Start the application with `heliograph run APP`, use the fixture "
    "`heliograph_engine` in tests or send(remote=ADDRESS) from outside, or see docs/reference/exceptions.md."
)


class DetachedEngine(ProcessLocalNames, NoWebServer):
    """The engine of a process that no server started."""

    name = "detached"
    can_change_target = True

    def __init__(self, reason: str = _REASON) -> None:
        """`reason` completes the sentences of `NoEngine`: why there is no server, and what to do."""
        self._reason = reason
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
        """Do nothing yet."""

    def wake_at(self, target: str, when: float) -> None:
        """Do nothing yet."""

    def on_fork(self, hook: Callable[[], None]) -> None:
        """Do nothing: no server forks this process."""

    def in_farm(self, name: str) -> bool:  # noqa: ARG002
        return False

    def masterpid(self) -> int:
        return 0

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    def opt(self) -> Mapping[str, Any]:
        return {}

    def version(self) -> str:
        return ""
